"""What we do with UCP: install, join, users and bundles, back up, restore, uninstall."""
