"""Faults at every step of every runbook, on the simulated cluster: killed, cut off, contradicted, lied to."""
