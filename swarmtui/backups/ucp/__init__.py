"""Backups of UCP: an archive that UCP's own command made, as a rule sealed by it with a passphrase (OpenPGP)."""
