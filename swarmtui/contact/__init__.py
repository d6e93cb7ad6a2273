"""What a session is made of: how an opened cluster is kept in contact with.

`line` finds a manager, stays with it and fails over; `beside` learns what no poll tells, while a manager is in use;
`known` is what was learnt, and tells who wants to know.
"""

from swarmtui.link import sshlib  # noqa: F401  # before anything that imports asyncssh
