"""A simulated Swarm, served over real SSH and real sockets on loopback.

The product connects to it through the same code as to production, so nothing here is shared with the product:
two implementations that agree are evidence, one that agrees with itself is not.

    world/      what the cluster is: simulated time, raft, nodes, services, scheduling. No I/O.
    api/        the Engine API over HTTP on one unix socket for each simulated host
    hosts/      one SSH server for each simulated host, with a strictly parsed shell
    scenarios/  worlds to start from, each with a goal that knows when it is reached
"""
