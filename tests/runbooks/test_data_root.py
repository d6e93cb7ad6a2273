"""Where Docker keeps its data, as it is configured."""

from __future__ import annotations

import pytest

from swarmtui.runbooks.swarm.recovery.data_root import DEFAULT, configured_root

STARTED = (
    "ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd -H fd://%s ; ignore_errors=no ; start_time=[n/a] }"
)


@pytest.mark.parametrize(
    ("started", "settings", "root"),
    [
        ("", "", DEFAULT),
        (STARTED % "", "cat: /etc/docker/daemon.json: No such file or directory", DEFAULT),
        (STARTED % "", '{"data-root": "/srv/docker"}', "/srv/docker"),
        (STARTED % "", '{"graph": "/mnt/d/"}', "/mnt/d"),
        (STARTED % " --data-root=/data/docker", "{}", "/data/docker"),
        (STARTED % " --data-root /data/docker", "", "/data/docker"),
        (STARTED % " -g /data/old", "", "/data/old"),
        (STARTED % "", '{"data-root": "/srv/$(reboot)"}', DEFAULT),
        (STARTED % "", '{"data-root": "relative"}', DEFAULT),
        (STARTED % "", '{"data-root": "/srv/../etc"}', DEFAULT),
        (STARTED % "", '{"data-root": 7}', DEFAULT),
        (STARTED % "", "[]", DEFAULT),
    ],
)
def test_it_is_found_without_a_running_docker(started: str, settings: str, root: str) -> None:
    assert configured_root(started, settings) == root
