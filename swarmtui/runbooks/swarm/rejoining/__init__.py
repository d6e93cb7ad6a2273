"""node.rejoin, node.replace: a node comes back, or another takes its place."""
