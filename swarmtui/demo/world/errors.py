"""Refusals of the simulated engine, in the words and with the status codes of a real one."""

from __future__ import annotations

NO_LEADER = (
    "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are "
    "online. Make sure more than half of the managers are online."
)
DEADLINE = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
LOST_LEADER = "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status"
LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)
NO_SWARM = "This node is not part of a swarm"
IN_SWARM = 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
NOT_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
    "swarm and try again."
)
PREPARING = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)
JOIN_TIMEOUT = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. "
    'Use the "docker info" command to see the current swarm status of your node.'
)

_STATUS = {
    "InvalidArgument": 400,
    "FailedPrecondition": 400,
    "NotFound": 404,
    "AlreadyExists": 409,
    "PermissionDenied": 403,
    "Unauthenticated": 401,
    "Unimplemented": 501,
    "Unavailable": 503,
}


class ApiError(Exception):
    """An answer other than success.

    Attributes:
        status: the HTTP status.
        message: what the body's `message` says.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def rpc(code: str, description: str) -> ApiError:
    """An error of the cluster's own RPC, as the engine passes it on."""
    return ApiError(_STATUS.get(code, 500), f"rpc error: code = {code} desc = {description}")


def out_of_sequence() -> ApiError:
    """The version that came with an update is not the present one."""
    return rpc("Unknown", "update out of sequence")
