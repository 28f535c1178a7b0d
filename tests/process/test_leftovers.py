"""Files of a dead worker that cannot be removed: a file is a mount of its own, like one on a broken disk."""

import subprocess
import sys
from pathlib import Path

import pytest

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.uuid7 import uuid7
from tests.support.mounts import own_mounts

ROOT = Path(__file__).parents[2]
_MOUNT = 'mount --bind "$0" "$0" && exec "$@"'
_CLEAR_TWICE = """
import sys
from pathlib import Path
from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace
space = FileSpace(FilesSection(directory=Path(sys.argv[1])))
for _ in range(2):
    try:
        print("gone:", space.clear(sys.argv[2], lambda ids: set()))
    except FilesUnavailable as error:
        print(error)
"""


@pytest.mark.parametrize("stubborn", ["stored", "task.a/film"])
def test_a_file_that_cannot_be_removed_is_reported_as_left(tmp_path: Path, stubborn: str) -> None:
    way = own_mounts()
    if not way:
        pytest.skip("mounts are not allowed here")
    section, worker = FilesSection(directory=tmp_path), uuid7()
    space, folder = FileSpace(section, worker), tmp_path / "tmp" / worker
    left = space.add_output("o", lambda file: file.write(b"x"), "text/plain").file_id
    (folder / "task.a").mkdir()
    (folder / "task.a" / "film").write_text("x")
    clear = [sys.executable, "-c", _CLEAR_TWICE, str(tmp_path), worker]
    done = subprocess.run(
        [*way, "sh", "-c", _MOUNT, str(folder / stubborn), *clear],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    assert (
        done.stdout.splitlines()
        == [f"leftovers of worker {worker} could not be removed: {stubborn.split('/')[0]} still exists"] * 2
    )
    assert not space.path_of(left).exists()
    space.clear(worker, lambda ids: set())
    assert not folder.exists()
