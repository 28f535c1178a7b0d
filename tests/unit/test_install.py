"""Functions of bin/install and bin/setup-common, with stand-ins for systemd, dtqs and Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source import ROOT

_FUNCTIONS = (ROOT / "bin/install").read_text(encoding="utf-8").partition("\ncase ${1-} in\n")[0]


def bash(script: str, *arguments: str) -> tuple[int, str]:
    """Run a script after the functions of bin/install. Return its exit status and its whole output."""
    done = subprocess.run(
        ["bash", "-c", f"{_FUNCTIONS}\n{script}", str(ROOT / "bin/install"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("reload_status", "status", "calls"),
    [
        (0, 0, ["try-restart dtqs-api.service"]),
        (os.EX_UNAVAILABLE, 0, ["try-restart dtqs-worker.service", "try-restart dtqs-api.service"]),
        (os.EX_CONFIG, os.EX_UNAVAILABLE, []),
        (os.EX_TEMPFAIL, os.EX_UNAVAILABLE, []),
    ],
)
def test_a_refused_reload_leaves_the_services_alone(
    tmp_path: Path, reload_status: int, status: int, calls: list[str]
) -> None:
    dtqs = tmp_path / "bin" / "dtqs"
    dtqs.parent.mkdir()
    dtqs.write_text(f"#!/bin/sh\necho '[pool:default] workers = many'\nexit {reload_status}\n")
    dtqs.chmod(0o755)
    script = """
        RELEASE=$1 RESTART_NEEDED=$1/restart-needed
        touch "$RESTART_NEEDED"
        systemctl() { case $1 in show) echo 7 ;; is-active) ;; *) echo "systemctl $*" ;; esac; }
        renew_services"""
    ended, output = bash(script, str(tmp_path))
    made = [line.removeprefix("systemctl ") for line in output.splitlines() if line.startswith("systemctl ")]
    assert (ended, made) == (status, calls), output
    assert "workers = many" in output


@pytest.mark.parametrize(
    ("dsn", "url", "named"),
    [("old", "old", []), ("new", "old", ["dtqs-worker.service"]), ("old", "new", ["dtqs-worker.service"])],
)
def test_services_with_passwords_of_before_are_named(tmp_path: Path, dsn: str, url: str, named: list[str]) -> None:
    """The API does not run here."""
    copies = tmp_path / "credentials" / "dtqs-worker.service"
    copies.mkdir(parents=True)
    for path, text in ((copies / "dsn", "old"), (copies / "amqp", "old"), (tmp_path / "d", dsn), (tmp_path / "u", url)):
        path.write_text(text)
    script = """
        CREDENTIALS=$1/credentials RESTART_NEEDED=$1/restart-needed DSN=$1/d URL=$1/u
        systemctl() { case $4 in dtqs-worker.service) echo $$ ;; *) echo 0 ;; esac; }
        note_changed_passwords
        [ ! -e "$RESTART_NEEDED" ] || cat "$RESTART_NEEDED" """
    status, output = bash(script, str(tmp_path))
    assert (status, [line for line in output.splitlines() if not line.startswith("==>")]) == (0, named)


@pytest.mark.parametrize(
    ("line", "status"),
    [("systemd 249 (249.11-0ubuntu3.12)", 69), ("systemd 252 (252.39-1~deb12u1)", 0), ("systemd 257~rc3", 0)],
)
def test_a_systemd_that_does_not_know_the_units_specifiers_is_refused(line: str, status: int) -> None:
    ended, output = bash('systemctl() { printf "%s\n+PAM +AUDIT\n" "$LINE"; }; LINE=$1; check_systemd', line)
    assert ended == status, output
    assert ("250 or later" in output) == (status != 0)


def test_another_python_under_the_same_path_makes_another_release(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    names = []
    for version in ("3.11.2", "3.11.2", "3.12.1"):
        python.write_text(f"#!/bin/sh\necho Python {version}\n")
        python.chmod(0o755)
        status, name = bash('find_python() { echo "$PYTHON3"; }; CONF=/nowhere; PYTHON3=$1; release_name', str(python))
        assert status == 0, name
        names.append(name)
    assert names[0] == names[1] != names[2]


def test_an_environment_of_another_python_is_made_anew(tmp_path: Path) -> None:
    script = 'cd "$1"; echo wanted >.venv/.made-run; is_made run wanted && echo made'
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    assert bash(script, str(tmp_path)) == (0, "made\n")
    (packages,) = venv.glob("lib/python3.*")
    packages.rename(packages.with_name("python3.0"))
    assert bash(script, str(tmp_path)) == (1, "")
