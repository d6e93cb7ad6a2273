"""What is seen from outside, on real engines: whom the load balancer leads to, and whether NFS answers the replicas."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.actions.dtr_stage import health, platform
from tests.actions.ucp_stage import done, quiet
from tests.lab.fixtures import MakeLab

pytestmark = [pytest.mark.lab, pytest.mark.full]

A, B = "00000000000a", "00000000000b"


def test_the_load_balancers_list_and_the_way_to_the_images_are_told(make_lab: MakeLab) -> None:
    lab, cli, balancer = platform(make_lab, "2.7.6", 2)
    one, two = lab["wrk1"], lab["wrk2"]
    server = f"{lab.network.prefix}.254"  # this machine itself, as the load balancer
    with balancer, contextlib.ExitStack() as stack:
        balancer.lead_to(one, two)
        words = ("version=2.7.6", "node=wrk1", f"replica={A}", f"url={balancer.url}", f"storage=nfs://{server}/images")
        silent = quiet(cli.run("dtr.install", *words, "--dry-run")).out
        assert f"{server} does not answer on TCP port 2049 (NFS) from wrk1: " in silent
        # As much of a server as can be seen from outside: the port opens.
        stack.enter_context(socket.create_server((server, 2049), backlog=64))
        told = done(cli, "dtr.install", *words)
        assert "does not answer" not in told.out + told.err
        answers = f"{server} answers on TCP port 2049 (NFS) from wrk2."
        assert answers in quiet(cli.run("dtr.join", "node=wrk2", "--dry-run")).out
        done(cli, "dtr.join", "node=wrk2", f"replica={B}")
        assert health(one) == {A: "OK", B: "OK"}

        said = cli("doctor", "prod").out
        assert f"Replicas that it leads to: {A} on wrk1, {B} on wrk2, by the newest 16 connections from here." in said
        balancer.lead_to(one)
        said = cli("doctor", "prod").out
        assert f"never led to {B} on wrk2 in 16 new connections from here, only to {A} on wrk1" in said
