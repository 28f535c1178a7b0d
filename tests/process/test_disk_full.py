"""A full disk: a real one of a megabyte, and a limit on the size of files.

Tasks on it are retried with the reason, and later tasks run.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fix_site import Site
from tests.support.mounts import own_mounts

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 1 << 20
_MOUNT = f'mount -t tmpfs -o size={LIMIT_BYTES} tmpfs "$0" && exec "$@"'


def fill(directory: Path, site: Site, *before: str) -> dict[str, Any]:
    site.answers["/"] = (200, {}, b"x" * 4 * LIMIT_BYTES)
    command = [*before, sys.executable, "-m", "tests.process.disk_filler", str(directory), site.url("/")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_full_disk_causes_a_retry_with_the_reason_and_the_worker_goes_on(site: Site, tmp_path: Path) -> None:
    way = own_mounts()
    if not way:
        pytest.skip("mounts are not allowed here; the test with a file size limit covers this")
    found = fill(tmp_path, site, *way, "sh", "-c", _MOUNT, str(tmp_path))
    full = "the disk that holds the files is full (No space left on device)"
    assert found["ended"] == [
        ["completed", None],
        ["retry", full],
        ["completed", None],
        ["retry", full],
        ["completed", ""],
        ["retry", full],
    ]
    assert found["left_bytes"] == 30


def test_a_file_above_the_size_limit_causes_a_retry_and_the_worker_goes_on(site: Site, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
    try:
        found = fill(tmp_path, site)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    large = "a file could not be written: File too large"
    assert found["ended"] == [
        ["completed", None],
        ["retry", large],
        ["completed", None],
        ["retry", large],
        ["completed", ""],
        ["retry", large],
    ]
    assert found["left_bytes"] == 30
