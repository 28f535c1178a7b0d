"""The file space on a real disk: which files may be opened, and how a file is stored."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable, InputRefused, NotFound, TransientError
from dtqs.files import FileSpace, TooLarge
from dtqs.uuid7 import uuid7


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a b.txt").write_text("inside")
    (tmp_path / "secret.txt").write_text("outside")
    return root


@pytest.fixture
def space(tmp_path: Path, root: Path) -> FileSpace:
    return FileSpace(FilesSection(directory=tmp_path / "files", roots=(root,), max_upload_bytes=1000))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_making_a_file_space_touches_no_file(tmp_path: Path) -> None:
    FileSpace(FilesSection(directory=tmp_path / "files"))
    assert list(tmp_path.iterdir()) == []


def test_an_upload_is_stored_under_its_id_with_its_hash(space: FileSpace, tmp_path: Path) -> None:
    pending = space.new_upload()
    pending.write(b"%PDF-")
    pending.write(b"1.7")
    assert _files(tmp_path / "files")[0].suffix == ".part"
    file_id, size_bytes, sha256 = pending.commit()
    assert (size_bytes, sha256, pending.media_type) == (8, hashlib.sha256(b"%PDF-1.7").hexdigest(), "application/pdf")
    assert _files(tmp_path / "files") == [space.path_of(file_id)]
    with space.open_input(f"upload:{file_id}") as file:
        assert file.read() == b"%PDF-1.7"


def test_files_and_folders_are_closed_to_other_users(space: FileSpace, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        file_id, _, _ = space.new_upload().commit()
    finally:
        os.umask(old)
    path = space.path_of(file_id)
    assert path.stat().st_mode & 0o7777 == 0o640
    assert path.parent.stat().st_mode & 0o7777 == 0o750


def test_an_upload_over_the_limit_is_refused_and_leaves_no_file(space: FileSpace, tmp_path: Path) -> None:
    pending = space.new_upload()
    pending.write(b"x" * 1000)
    with pytest.raises(TooLarge, match="1000 bytes"):
        pending.write(b"x")
    assert _files(tmp_path / "files") == []


def test_an_aborted_upload_leaves_no_file(space: FileSpace, tmp_path: Path) -> None:
    with space.new_upload() as pending:
        pending.write(b"x")
    pending.abort()
    assert _files(tmp_path / "files") == []


def test_abort_after_commit_keeps_the_file(space: FileSpace) -> None:
    with space.new_upload() as pending:
        file_id, _, _ = pending.commit()
    assert space.path_of(file_id).exists()


def test_a_full_disk_is_worth_a_retry_and_leaves_no_file(
    space: FileSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = space.new_upload()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(TransientError, match="full"):
            pending.write(b"x")
    assert _files(tmp_path / "files") == []


def test_an_output_may_be_written_with_seeks(space: FileSpace) -> None:
    def write(file: object) -> None:
        assert hasattr(file, "seek")
        assert hasattr(file, "write")
        file.write(b"....data")
        file.seek(0)
        file.write(b"head")

    output = space.add_output("o", write, "text/plain")
    assert space.path_of(output.file_id).read_bytes() == b"headdata"
    assert (output.size_bytes, output.sha256) == (8, hashlib.sha256(b"headdata").hexdigest())


def test_an_output_whose_writer_fails_leaves_no_file(space: FileSpace, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        space.add_output("o", lambda file: 1 // 0, "text/plain")
    assert _files(tmp_path / "files") == []


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "/srv/mine"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError("slow"),
        PermissionError(errno.EACCES, "no"),
        OSError("an error of a library"),
    ],
)
def test_the_errors_of_an_authors_writer_pass_unchanged(space: FileSpace, tmp_path: Path, error: OSError) -> None:
    def write(file: object) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        space.add_output("o", write, "text/plain")
    assert raised.value is error
    assert _files(tmp_path / "files") == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS, errno.EFBIG])
def test_the_errors_of_the_disk_in_a_writer_are_retried(space: FileSpace, number: int) -> None:
    def write(file: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(FilesUnavailable, match=os.strerror(number)):
        space.add_output("o", write, "text/plain")


def test_every_output_gets_a_file_of_its_own(space: FileSpace) -> None:
    first, second = (space.add_output("same", lambda file: file.write(b"x"), "text/plain") for _ in range(2))
    assert first.file_id != second.file_id


def test_a_file_below_a_root_is_opened(space: FileSpace, root: Path) -> None:
    with space.open_input(f"file:{root}/a%20b.txt") as file:
        assert file.read() == b"inside"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "../missing.txt", "sub/../../secret.txt", "%2e%2e/secret.txt", "link", "folder/secret.txt", ""],
)
def test_a_file_outside_the_roots_gets_the_same_refusal_whether_it_exists_or_not(
    space: FileSpace, root: Path, path: str
) -> None:
    (root / "link").symlink_to(root.parent / "secret.txt")
    (root / "folder").symlink_to(root.parent)
    with pytest.raises(InputRefused, match="not below a folder of"):
        space.open_input(f"file:{root}/{path}")


def test_a_folder_whose_name_begins_like_a_root_is_no_root(space: FileSpace, root: Path) -> None:
    beside = root.parent / "root2"
    beside.mkdir()
    (beside / "a").write_text("x")
    with pytest.raises(InputRefused, match="not below a folder of"):
        space.open_input(f"file:{beside}/a")


def test_a_link_that_stays_below_the_root_is_followed(space: FileSpace, root: Path) -> None:
    (root / "link").symlink_to(root / "a b.txt")
    with space.open_input(f"file:{root}/link") as file:
        assert file.read() == b"inside"


def test_a_link_made_between_check_and_open_is_not_followed(
    space: FileSpace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.path.realpath

    def swap(path: str, **options: bool) -> str:
        found = real(path, **options)
        if str(path).endswith("a b.txt"):
            os.unlink(path)
            os.symlink(root.parent / "secret.txt", path)
        return found

    monkeypatch.setattr(os.path, "realpath", swap)
    with pytest.raises(InputRefused, match="no such file"):
        space.open_input(f"file:{root}/a b.txt")


def test_a_folder_replaced_by_a_link_between_check_and_open_is_noticed(
    space: FileSpace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "secret.txt").write_text("harmless")
    real = os.path.realpath

    def swap(path: str, **options: bool) -> str:
        found = real(path, **options)
        if str(path).endswith("sub/secret.txt"):
            (root / "sub").rename(root / "moved")
            (root / "sub").symlink_to(root.parent)
        return found

    monkeypatch.setattr(os.path, "realpath", swap)
    with pytest.raises(InputRefused, match="not below a folder of"):
        space.open_input(f"file:{root}/sub/secret.txt")


def test_a_pipe_is_refused_without_a_wait(space: FileSpace, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(InputRefused, match="not a regular file"):
        space.open_input(f"file:{root}/pipe")


def test_uploads_are_not_opened_by_path(tmp_path: Path) -> None:
    space = FileSpace(FilesSection(directory=tmp_path / "files", roots=(tmp_path,)))
    file_id, _, _ = space.new_upload().commit()
    with pytest.raises(InputRefused, match="only as upload:ID"):
        space.open_input(f"file:{space.path_of(file_id)}")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42", "no such file"),
        ("s3://bucket/key", "not configured"),
        ("http://127.0.0.1/a", "loopback"),
        ("x", "allowed"),
    ],
)
def test_an_unavailable_source_is_refused_with_its_reason(space: FileSpace, uri: str, reason: str) -> None:
    with pytest.raises(InputRefused, match=reason):
        space.open_input(uri)


def test_without_roots_no_path_is_opened(tmp_path: Path, root: Path) -> None:
    with pytest.raises(InputRefused, match="not configured"):
        FileSpace(FilesSection(directory=tmp_path / "files")).open_input(f"file:{root}/a%20b.txt")


@pytest.mark.parametrize("file_id", ["", "..", "../../../etc/passwd", "018F6B2E-4A57-7C31-9D2E-5B8F0A6C1D42"])
def test_a_text_that_is_no_id_has_no_path(space: FileSpace, file_id: str) -> None:
    with pytest.raises(NotFound):
        space.path_of(file_id)


def test_files_of_the_same_moment_are_in_different_folders(space: FileSpace) -> None:
    assert len({space.path_of(uuid7()).parent for _ in range(100)}) > 90


def test_a_temporary_folder_is_private_and_is_removed(space: FileSpace) -> None:
    with space.temporary_dir(uuid7()) as folder:
        assert Path(folder).stat().st_mode & 0o7777 == 0o700
        (Path(folder) / "a").write_text("x")
    assert not Path(folder).exists()


def test_removing_twice_is_no_error(space: FileSpace) -> None:
    file_id, _, _ = space.new_upload().commit()
    space.remove(file_id)
    space.remove(file_id)
    assert not space.path_of(file_id).exists()


def test_files_work_in_a_process_that_gevent_has_patched(tmp_path: Path) -> None:
    program = """
import gevent.monkey; gevent.monkey.patch_all()
import sys
from pathlib import Path
from dtqs.config import FilesSection
from dtqs.files import FileSpace
space = FileSpace(FilesSection(directory=Path(sys.argv[1])))
pending = space.new_upload(); pending.write(b"x"); file_id, _, _ = pending.commit()
assert space.open_input(f"upload:{file_id}").read() == b"x"
assert space.add_output("o", lambda file: file.write(b"y"), "text/plain").size_bytes == 1
"""
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, timeout=30, cwd=Path(__file__).parents[3]
    )
