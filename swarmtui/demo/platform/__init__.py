"""UCP (MKE) and DTR (MSR) of the simulated platform, in several releases: releases.py and dtr_releases.py.

Both are closed source and their images cannot be had, so this keeps to what is documented of them: commands, flags,
streams, files, containers, volumes, ports and HTTPS endpoints. What nobody has documented is left out.
"""
