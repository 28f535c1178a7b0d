"""Check this machine: ffmpeg, folders with their free space, and the file of the API's secret."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dtqs.amounts import size
from dtqs.api.access.secret import file_fault
from dtqs.cli.checks.check import FAILED, OK, WARNING, Check
from dtqs.config import Config

DISK_FAILED_BYTES = 1 << 30
DISK_WARNING_PART = 0.05
PROGRAM_SECONDS = 10.0


def programs() -> Iterator[Check]:
    """Check that ffmpeg and ffprobe start."""
    for name in ("ffmpeg", "ffprobe"):
        advice = "video tasks need it: apt-get install ffmpeg"
        try:
            answer = subprocess.run(
                [name, "-version"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PROGRAM_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Check(name, FAILED, "not found" if isinstance(error, FileNotFoundError) else str(error), advice)
            continue
        if answer.returncode == 0:
            yield Check(name, OK, " ".join(answer.stdout.split("\n", 1)[0].split()[:3]))
        else:
            yield Check(name, FAILED, f"exit status {answer.returncode}", advice)


def disks(config: Config) -> Iterator[Check]:
    """Check that the folders of files and of the node's state exist, are writable, and have free space."""
    yield _disk("files", config.files.directory, "[files] directory")
    yield _disk("state", config.supervisor.state_dir, "[supervisor] state_dir")


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
        advice = "run the doctor as the user that runs DTQS"
        return Check(part, WARNING, f"{found}; not writable for this user", advice)
    return Check(part, OK, found)


def signing(config: Config) -> Iterator[Check]:
    """Check the permissions of the file with the API's secret, if it exists. The secret signs tickets and sessions."""
    if fault := file_fault(config):
        yield Check("api-secret", FAILED if fault.refused else WARNING, fault.found, fault.advice)
