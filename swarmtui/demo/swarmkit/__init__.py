"""What SwarmKit writes to a manager's disk: protobuf, raft log and snapshot, key file. Only writing, and no I/O.

Written from the formats alone and shares nothing with the reader in the product: they check each other.
"""
