"""What else is done with DTR, on real engines with its stand-in images: images moved, settings changed, an upgrade that
is broken off, commands that fail and say so with exit code 0."""

from __future__ import annotations

import ipaddress
import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.actions.cli import Cli
from tests.actions.dtr_stage import ask, health, platform, push, tags
from tests.actions.ucp_stage import ADMIN, done, gone_on, quiet
from tests.lab import standins
from tests.lab.fixtures import MakeLab
from tests.lab.host import Host
from tests.lab.machine import wait_for
from tests.lab.standins.balancer import Balancer

pytestmark = [pytest.mark.lab, pytest.mark.full]

A, B = "00000000000a", "00000000000b"
NFS, OTHER = "nfs://10.0.0.9/images", "nfs://10.0.0.10/images"
S3_KEY = "planted-secretkey-4711"


def _settings(host: Host) -> dict[str, Any]:
    """DTR's settings as the replica on a host tells them."""
    return dict(ask(host, "/api/v0/meta/settings")[1])


def _refused(cli: Cli, words: str, name: str, *given: str) -> None:
    """A run that is refused before anything is done, with these words."""
    result = quiet(cli.run(name, *given, "--yes"), 4)
    assert words in result.err, result


def _kept() -> list[dict[str, Any]]:
    """The manifests of the backups of DTR that are whole."""
    root = Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    return [json.loads(path.read_bytes()) for path in sorted(root.glob("*/*-dtr-*/manifest.json"))]


def _two(cli: Cli, balancer: Balancer, version: str, hosts: list[Host], *storage: str) -> None:
    """The first replica on one host, the second on the other."""
    balancer.lead_to(*hosts)
    done(cli, "dtr.install", f"version={version}", "node=wrk1", f"replica={A}", f"url={balancer.url}", *storage)
    done(cli, "dtr.join", "node=wrk2", f"replica={B}")
    assert health(hosts[0]) == {A: "OK", B: "OK"}


# -- commands that fail ------------------------------------------------------------------------------------------------


def test_commands_fail_and_the_way_out_is_told(make_lab: MakeLab) -> None:
    """MSR 2.9: what is fatal ends with exit code 0, half a replica is left behind, half an archive is written."""
    lab, cli, balancer = platform(make_lab, "2.9.4", 2)
    first, one, two = (lab[name] for name in ("mgr1", "wrk1", "wrk2"))
    standins.switch(first, "fatal-exits-zero")
    with balancer:
        balancer.lead_to(one, two)
        standins.switch(first, "dtr-install-fails")
        where = "version=2.9.4", "node=wrk1", f"replica={A}", f"url={balancer.url}", f"storage={NFS}"
        failed = done(cli, "dtr.install", *where, code=1)
        assert "timed out waiting for RethinkDB" in failed.err and f"dtr.destroy replica={A}" in failed.err, failed
        standins.switch(first, "dtr-install-fails", on=False)
        # Nobody can tell it from what is left of a whole one.
        _refused(cli, "dtr-last-data", "dtr.destroy", f"replica={A}")
        done(cli, "dtr.destroy", f"replica={A}", "--accept", f"dtr-last-data={A}")
        assert one.sh("docker ps -aq --filter name=dtr-; docker volume ls -q --filter name=dtr-").stdout == ""
        gone_on(cli, failed.run_id)
        assert health(one) == {A: "OK"}
        push(one, "v1")

        standins.switch(first, "dtr-backup-fails")
        half = done(cli, "dtr.backup", code=1)
        assert "Failed to create backup" in half.err and not _kept(), half
        standins.switch(first, "dtr-backup-fails", on=False)
        gone_on(cli, half.run_id)
        assert [one["dtr"]["offline"] for one in _kept()] == [False]

        _refused(cli, "dtr-quorum", "dtr.backup", "offline=true")
        assert health(one) == {A: "OK"}, "its database was not stopped"
        done(cli, "dtr.backup", "offline=true", "--accept", f"dtr-quorum={A}")
        assert [one["dtr"]["offline"] for one in _kept()] == [False, True]
        wait_for("its database runs again", lambda: health(one) == {A: "OK"}, 30)

        push(one, "v2")
        one.sh("docker rm -f $(docker ps -aq --filter name=dtr-)")
        one.sh("docker volume rm $(docker volume ls -q --filter name=dtr-)")
        done(cli, "dtr.restore", "node=wrk2")
        assert health(two) == {A: "OK"} and tags(two) == ["v1"]


# -- images and settings -----------------------------------------------------------------------------------------------


def test_images_get_another_place_and_no_tag_is_lost(make_lab: MakeLab) -> None:
    """2.7: object storage before the first push, NFS after it; what would forget every tag is refused."""
    lab, cli, balancer = platform(make_lab, "2.7.6", 1)
    one = lab["wrk1"]
    cli.environment |= {"S3_ID": "AKIA-4711", "S3_KEY": "wrong"}
    s3 = ("to=s3", "bucket=images", "region=eu-west-1", "accesskey-from=env:S3_ID", "secretkey-from=env:S3_KEY")
    with balancer:
        balancer.lead_to(one)
        done(cli, "dtr.install", "version=2.7.6", "node=wrk1", f"replica={A}", f"url={balancer.url}")
        assert "on each replica's own disk" in quiet(cli.run("dtr.storage")).out
        wrong = done(cli, "dtr.storage", *s3, code=1)
        assert "InvalidAccessKeyId" in wrong.err, wrong
        cli.environment["S3_KEY"] = S3_KEY
        right = done(cli, "dtr.storage", *s3)
        ours = [path for path in Path(os.environ["XDG_STATE_HOME"]).rglob("*") if path.is_file()]
        assert ours and not [path for path in ours if S3_KEY.encode() in path.read_bytes()]
        assert S3_KEY not in right.out + right.err

        done(cli, "dtr.storage", f"to={NFS}")
        assert (_settings(one)["nfsHost"], _settings(one)["nfsPath"]) == ("10.0.0.9", "/images")
        push(one, "v1")
        _refused(cli, "moved=true", "dtr.storage", f"to={OTHER}")
        _refused(cli, "forgets every tag", "dtr.storage", *s3)
        assert tags(one) == ["v1"]
        done(cli, "dtr.storage", f"to={OTHER}", "moved=true")
        assert _settings(one)["nfsHost"] == "10.0.0.10" and tags(one) == ["v1"]
        assert f"images lie on {OTHER}" in quiet(cli.run("dtr.storage")).out


def test_settings_are_changed(make_lab: MakeLab, tmp_path: Path) -> None:
    """2.7: its log, own certificates, its address; each replica has them, and is reached afterwards."""
    lab, cli, balancer = platform(make_lab, "2.7.6", 2)
    hosts = one, two = lab["wrk1"], lab["wrk2"]
    with balancer, Balancer(f"{lab.network.prefix}.254", *hosts) as other:
        _two(cli, balancer, "2.7.6", list(hosts), f"storage={NFS}")
        _refused(cli, "Nothing was said", "dtr.reconfigure")
        _refused(cli, "dtr.storage", "dtr.reconfigure", f"storage={OTHER}")
        two.sh(f"docker stop -t 1 dtr-api-{B}")
        wait_for("it is told ill", lambda: health(one).get(B, "OK") != "OK", 30)
        _refused(cli, f"dtr.remove replica={B}", "dtr.reconfigure", "log-level=DEBUG")
        two.sh(f"docker start dtr-api-{B}")
        wait_for("it is well again", lambda: health(one).get(B) == "OK", 30)

        done(cli, "dtr.reconfigure", "log-level=DEBUG")
        assert [_settings(host)["logLevel"] for host in hosts] == ["DEBUG", "DEBUG"]
        assert "is configured so already" in done(cli, "dtr.reconfigure", "log-level=DEBUG").out

        own = _certificates(tmp_path / "own", f"{lab.network.prefix}.254")
        done(cli, "dtr.reconfigure", f"certificates={tmp_path / 'own'}")
        wait_for("all show it", lambda: all(_shown(host) == own for host in hosts), 30)
        done(cli, "dtr.reconfigure", f"url={other.url}")
        assert _settings(two)["dtrHost"] == other.url.removeprefix("https://")
        assert all(_shown(host) == own for host in hosts)
        done(cli, "dtr.backup")
        assert [one["dtr"]["external_url"] for one in _kept()] == [other.url]


def _certificates(folder: Path, address: str) -> bytes:
    """What an operator has of the company's authority: ca.pem, cert.pem, key.pem; the certificate in DER."""
    now, names = datetime.now(UTC), [x509.IPAddress(ipaddress.ip_address(address))]
    by, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority, own = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("Company", "dtr"))

    def made(subject: x509.Name, public: Any, extension: x509.ExtensionType, critical: bool) -> x509.Certificate:
        begun = x509.CertificateBuilder().subject_name(subject).issuer_name(authority).public_key(public)
        begun = begun.serial_number(x509.random_serial_number()).add_extension(extension, critical)
        begun = begun.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
        return begun.sign(by, hashes.SHA256())

    ca = made(authority, by.public_key(), x509.BasicConstraints(ca=True, path_length=None), True)
    cert = made(own, key.public_key(), x509.SubjectAlternativeName(names), False)
    folder.mkdir()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, data in {"ca": ca.public_bytes(pem), "cert": cert.public_bytes(pem), "key": private}.items():
        (folder / f"{name}.pem").write_bytes(data)
    return cert.public_bytes(serialization.Encoding.DER)


def _shown(host: Host) -> bytes:
    """The certificate that the replica on a host shows, in DER."""
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host.address, 443), timeout=10))


# -- another version ---------------------------------------------------------------------------------------------------


def test_an_upgrade_goes_as_its_check_says(make_lab: MakeLab) -> None:
    """2.4.1 → 2.5.3 by the command that the check shows; broken off in the middle, it is begun once more."""
    lab, cli, balancer = platform(make_lab, "2.4.1", 2)
    first, one, two = (lab[name] for name in ("mgr1", "wrk1", "wrk2"))
    with balancer:
        _two(cli, balancer, "2.4.1", [one, two], f"storage={NFS}")
        push(one, "v1")
        _refused(cli, "2.5 → 2.6 → 2.7", "dtr.upgrade-check", "version=2.7.6")
        _refused(cli, "cannot become the older 2.4.0", "dtr.upgrade-check", "version=2.4.0")
        _refused(cli, "came with DTR 2.5", "dtr.backup", "offline=true")
        _refused(cli, "dtr-images-not-moved", "dtr.storage", f"to={OTHER}")

        notes = cli.plan("dtr.upgrade-check", "version=2.5.3")["notes"]
        (told,) = (note for note in notes if "docker/dtr:2.5.3 upgrade" in note)
        command = told[told.index("docker ") :].rstrip(".")
        for host in (first, one):
            standins.load_dtr(host, ("2.5.3",))
        assert _upgraded(first, command) != 0, "no image of it is on wrk2"
        _refused(cli, "several versions (2.4.1, 2.5.3)", "dtr.join", "node=mgr1")
        half = cli.plan("dtr.upgrade-check", "version=2.5.3")
        assert any("an upgrade was broken off" in warning for warning in half["warnings"]), half

        standins.load_dtr(two, ("2.5.3",))
        assert _upgraded(first, command) == 0
        assert health(two) == {A: "OK", B: "OK"} and tags(two) == ["v1"]
        for host in (one, two):
            running = host.sh("docker ps --format '{{.Image}}' --filter name=dtr-").stdout.split()
            assert len(running) == 9 and {image.rpartition(":")[2] for image in running} == {"2.5.3"}
        assert "All replicas run DTR 2.5.3 already." in quiet(cli.run("dtr.upgrade-check", "version=2.5.3")).out
        done(cli, "dtr.backup", "offline=true", "--accept", f"dtr-quorum={A}")
        assert [one["dtr"]["version"] for one in _kept()] == ["2.5.3"]


def _upgraded(manager: Host, command: str) -> int:
    """The exit code of a line as its operator types it on a manager, the two variables exported as it says."""
    ca = 'UCP_CA="$(cat $(docker volume inspect -f "{{.Mountpoint}}" ucp-controller-server-certs)/ca.pem)"'
    script = f"export UCP_PASSWORD={ADMIN} {ca}\n{command}\n".encode()
    line = "umask 077; cat > /root/upgrade.sh; sh /root/upgrade.sh; code=$?; rm /root/upgrade.sh; exit $code"
    return manager.sh(line, data=script, check=False, timeout=200).returncode
