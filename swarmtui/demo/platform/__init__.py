"""UCP 2.2.5 and DTR 2.4.1 of the simulated platform.

Both are closed source and their images cannot be had, so this keeps to what is documented of them: commands, flags,
streams, files, containers, volumes, ports and HTTPS endpoints. What nobody has documented is left out.
"""
