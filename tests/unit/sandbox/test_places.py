"""The sandbox's own folder: which files and settings it rewrites, and which it leaves alone."""

import os
import socket
import stat
from pathlib import Path

import pytest

from dtqs.config import load
from dtqs.sandbox.child import Account, SandboxError
from dtqs.sandbox.places import SandboxPaths, choose_ports, environment_without, write_ini

OURS = {"postgresql": {"dsn": "postgresql://127.0.0.1:1/dtqs"}, "api": {"port": "8081"}}


def test_a_key_that_the_user_added_stays_and_the_sandboxs_keys_are_rewritten(tmp_path: Path) -> None:
    places = SandboxPaths(tmp_path)
    write_ini(places, OURS)
    text = (
        places.ini.read_text().replace("port = 8081", "port = 1\nworkers = 3")
        + "\n[processor:image]\nmax_pixels = 1000\n"
    )
    places.ini.write_text(text)
    write_ini(places, OURS)
    config = load(places.ini, {})
    assert (config.api.port, config.api.workers) == (8081, 3)
    assert config.raw["processor:image"]["max_pixels"].text == "1000"
    assert stat.S_IMODE(places.ini.stat().st_mode) == 0o600


def test_a_file_of_an_editor_that_marks_utf_8_stays(tmp_path: Path) -> None:
    places = SandboxPaths(tmp_path)
    places.ini.write_text("[api]\nworkers = 3\n", encoding="utf-8-sig")
    write_ini(places, OURS)
    assert load(places.ini, {}).api.workers == 3


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"[postgresql]\ndsn = S3cret\ndsn = S3cret\n", "line 3: [postgresql] dsn stands here a second time"),
        (b"S3cret\n[api]\n", "line 1: no section begins before it"),
        (b"[api]\nhost = \xff\n", "is not UTF-8; correct it"),
    ],
)
def test_a_file_that_is_no_ini_is_named_without_its_lines(tmp_path: Path, written: bytes, told: str) -> None:
    places = SandboxPaths(tmp_path)
    places.ini.write_bytes(written)
    with pytest.raises(SandboxError) as caught:
        write_ini(places, OURS)
    assert str(caught.value).startswith(f"{places.ini} {told}")
    assert "S3cret" not in str(caught.value)
    assert places.ini.read_bytes() == written


def test_a_proposed_setting_is_written_once_and_may_be_changed(tmp_path: Path) -> None:
    places = SandboxPaths(tmp_path)
    proposed = {"processor:sms": {"provider": "sink", "sink_file": "/var/sms.jsonl"}}
    write_ini(places, OURS, proposed)
    assert load(places.ini, {}).raw["processor:sms"]["provider"].text == "sink"
    places.ini.write_text(places.ini.read_text().replace("provider = sink", "provider = twilio"))
    write_ini(places, OURS, proposed)
    raw = load(places.ini, {}).raw["processor:sms"]
    assert (raw["provider"].text, raw["sink_file"].text) == ("twilio", "/var/sms.jsonl")


def test_ports_stay_the_same_until_one_is_taken(tmp_path: Path) -> None:
    places = SandboxPaths(tmp_path)
    first = choose_ports(places, None)
    assert choose_ports(places, None) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.postgresql))
        other.listen()
        second = choose_ports(places, None)
    assert second.postgresql != first.postgresql
    assert (second.api, second.rabbitmq, second.epmd) == (first.api, first.rabbitmq, first.epmd)


def test_a_requested_api_port_that_is_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SandboxError, match=f"port {port} is taken"):
            choose_ports(SandboxPaths(tmp_path), port)


def test_variables_that_name_other_servers_are_removed_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTQS_POSTGRESQL_DSN", "postgresql://elsewhere/dtqs")
    monkeypatch.setenv("DTQS_POSTGRESQL_DSN_FILE", "/elsewhere")
    monkeypatch.setenv("DTQS_LOG_LEVEL", "debug")
    environment = environment_without(OURS)
    assert "DTQS_POSTGRESQL_DSN" not in environment
    assert "DTQS_POSTGRESQL_DSN_FILE" not in environment
    assert environment["DTQS_LOG_LEVEL"] == "debug"


def test_a_user_cannot_reach_a_file_below_a_closed_folder(tmp_path: Path) -> None:
    stranger = Account("stranger", 4242, 4242)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not stranger.can_reach(closed / "var")
    assert Account("owner", closed.stat().st_uid, closed.stat().st_gid).can_reach(closed / "var")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_its_owner_may_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(SandboxError, match="run is closed to its owner"):
        SandboxPaths(tmp_path).refuse_others()


def test_a_folder_of_others_is_refused_since_it_may_name_foreign_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = SandboxPaths(tmp_path / "var")
    places.make()
    places.refuse_others()
    places.lock.parent.chmod(0o777)
    with pytest.raises(SandboxError, match="run can be written by others"):
        places.refuse_others()
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SandboxError, match=f"var belongs to another user .uid {owner}.: run this as its owner"):
        places.refuse_others()
