"""Check this machine: ffmpeg, folders with their free space, and the file of the API's secret."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dtqs import health
from dtqs.amounts import size
from dtqs.api.access.secret import file_fault
from dtqs.cli.checks.check import FAILED, OK, WARNING, Check
from dtqs.config import Config, runs_type
from dtqs.processors.video.settings import VideoSettings
from dtqs.pulse import read_pulses

DISK_FAILED_BYTES = 1 << 30
DISK_WARNING_PART = 0.05
PROGRAM_SECONDS = 10.0
VIDEO = "video"
_AS_SERVICE = "run the doctor as the user that runs DTQS"


def programs(config: Config) -> Iterator[Check]:
    """Check that the configured ffmpeg and ffprobe start. A failure is a warning if no pool here runs videos.

    A machine without workers needs neither.
    """
    settings = config.processor(VIDEO, VideoSettings)
    runs = any(runs_type(pool, config.routes, VIDEO) for pool in config.pools.values())
    idle = _why_idle(config)
    for name, program in (("ffmpeg", settings.ffmpeg), ("ffprobe", settings.ffprobe)):
        advice = f"install it (apt-get install ffmpeg), or set [processor:{VIDEO}] {name} to its path"
        state, found = _started(program)
        if state == OK:
            yield Check(name, OK, found if program == name else f"{program}: {found}")
        elif idle:
            yield Check(name, OK, f"not needed: {idle}; {program}: {found}")
        elif runs:
            yield Check(name, FAILED, f"{program}: {found}", f"video tasks need it: {advice}")
        else:
            only_there = f"no pool of this configuration runs {VIDEO}; nodes that run it need it: {advice}"
            yield Check(name, WARNING, f"{program}: {found}", only_there)


def _why_idle(config: Config) -> str | None:
    """Return why this machine runs no tasks. None: it has workers, or nothing runs here that could tell."""
    try:
        nodes = list(read_pulses(str(config.supervisor.state_dir)))
    except FileNotFoundError:
        nodes = []
    except OSError:  # a node of another user
        return None
    if nodes:
        # the keeper is a child, too
        return None if any(node.children > 1 for node in nodes) else "the supervisor here runs a keeper and no workers"
    is_api, _ = health.check("api", only_life=True, config=str(config.path) if config.path else None)
    return "the API runs here, and no supervisor" if is_api else None


def _started(program: str) -> tuple[str, str]:
    """Return the state of a program and its version, or the reason why it does not start."""
    try:
        answer = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return FAILED, "not found"
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return FAILED, str(error)
    if answer.returncode:
        return FAILED, f"exit status {answer.returncode}"
    return OK, " ".join(answer.stdout.split("\n", 1)[0].split()[:3])


def disks(config: Config) -> Iterator[Check]:
    """Check that the folders of files and of the node's state exist, are writable, and have free space."""
    for part, folder, key in (
        ("files", config.files.directory, "[files] directory"),
        ("state", config.supervisor.state_dir, "[supervisor] state_dir"),
    ):
        try:
            yield _disk(part, folder, key)
        except PermissionError as error:
            yield Check(part, WARNING, f"{folder}: {error.strerror}", _AS_SERVICE)


def _disk(part: str, folder: Path, key: str) -> Check:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if existing != folder and not os.access(existing, os.W_OK):
        advice = f"create the folder, owned by the user that runs DTQS, or change {key}"
        return Check(part, FAILED, f"{folder} is missing", advice)
    if not folder.is_dir() and folder.exists():
        return Check(part, FAILED, f"{folder} is not a folder", f"change {key}")
    usage = shutil.disk_usage(existing)
    found = f"{folder}: {size(usage.free)} free of {size(usage.total)}"
    if existing != folder:
        found += ", created on first use"
    if usage.free < DISK_FAILED_BYTES:
        return Check(part, FAILED, found, "free some space: uploads, outputs and attempts fail on a full disk")
    if usage.free < usage.total * DISK_WARNING_PART:
        return Check(part, WARNING, found, "free some space, or shorten [files] retention_days")
    if existing == folder and not os.access(folder, os.W_OK):
        return Check(part, WARNING, f"{found}; not writable for this user", _AS_SERVICE)
    return Check(part, OK, found)


def signing(config: Config) -> Iterator[Check]:
    """Check the permissions of the file with the API's secret, if it exists. The secret signs tickets and sessions."""
    if fault := file_fault(config):
        yield Check("api-secret", FAILED if fault.refused else WARNING, fault.found, fault.advice)
