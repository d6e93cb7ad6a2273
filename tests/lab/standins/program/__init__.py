"""What runs inside the stand-in images of UCP: the bootstrapper `docker/ucp` and the component containers.

Written from shared reference documentation only; it shares no code with the product or its demo, and runs on the
standard library and `cryptography`. Which version of UCP it plays is told by the tag it was started under.
"""
