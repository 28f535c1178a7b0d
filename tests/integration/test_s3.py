"""Files in object storage, on a real server that checks signatures: storing, reading, sweeps, refusals and outages."""

import os
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dtqs.cli.checks import servers
from dtqs.cli.checks.check import FAILED, OK
from dtqs.config import FilesSection, load
from dtqs.errors import FilesUnavailable, InputRefused, NotFound
from dtqs.files import FileSpace, TooLarge, s3
from dtqs.files.s3_upload import PART_BYTES
from dtqs.uuid7 import uuid7
from tests.support.fix_s3 import Bucket
from tests.support.fix_site import Clock, Site
from tests.support.helpers import free_port

Space = Callable[..., FileSpace]


@pytest.fixture
def space(bucket: Bucket, tmp_path: Path) -> Iterator[Space]:
    """Make a file space that keeps its files in the bucket."""
    made: list[FileSpace] = []

    def make(**settings: Any) -> FileSpace:
        made.append(FileSpace(FilesSection(directory=tmp_path / "space", **bucket.settings(**settings))))
        return made[-1]

    yield make
    for one in made:
        one.close()


def output(files: FileSpace, body: bytes) -> str:
    return files.add_output("o", lambda file: file.write(body), "text/plain").file_id


def read(files: FileSpace, uri: str) -> bytes:
    with files.open_input(uri) as file:
        return file.read()


def left_over(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def part_of(files: FileSpace, file_id: str, start: int, end: int) -> bytes:
    reader = files.reader(file_id, start, end)
    try:
        return b"".join(iter(lambda: reader.read(1 << 16), b""))
    finally:
        reader.close()


# --- the store


def test_outputs_and_uploads_are_stored_in_the_bucket_by_id_and_nowhere_else(
    space: Space, bucket: Bucket, tmp_path: Path
) -> None:
    files = space()
    made = output(files, b"output")
    with files.new_upload() as pending:
        pending.write(b"upl")
        pending.write(b"oad")
        uploaded, size_bytes, _ = pending.commit()
    assert size_bytes == 6
    assert (bucket.get(f"dtqs/{made}"), bucket.get(f"dtqs/{uploaded}")) == (b"output", b"upload")
    assert (read(files, f"upload:{made}"), read(files, f"upload:{uploaded}")) == (b"output", b"upload")
    assert left_over(tmp_path) == []


def test_an_input_is_a_seekable_file(space: Space) -> None:
    files = space()
    with files.open_input(f"upload:{output(files, b'0123456789')}") as file:
        file.seek(7)
        assert file.read() == b"789"
        assert os.pread(file.fileno(), 3, 1) == b"123"


def test_a_large_file_is_sent_in_parts_and_never_held_in_memory(space: Space, bucket: Bucket) -> None:
    body = os.urandom(1 << 20) * 20 + b"end"
    files = space()
    tracemalloc.start()
    made = files.add_output(
        "o", lambda file: [file.write(body[at : at + 65536]) for at in range(0, len(body), 65536)], "text/plain"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert bucket.get(f"dtqs/{made.file_id}") == body
    assert bucket.client.head_object(Bucket=bucket.name, Key=f"dtqs/{made.file_id}")["ETag"].endswith('-3"')
    assert read(files, f"upload:{made.file_id}") == body
    assert bucket.unended() == []


def test_a_failed_upload_in_parts_is_deleted(
    space: Space, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(s3.S3Client, "_complete", interrupt)
    with pytest.raises(KeyboardInterrupt):
        output(space(), b"x" * (PART_BYTES + 1))
    assert (bucket.unended(), bucket.listed(), left_over(tmp_path)) == ([], [], [])


@pytest.mark.parametrize(("start", "end"), [(0, 10), (3, 5), (9, 10), (4, 4)])
def test_any_part_of_a_file_can_be_read(space: Space, start: int, end: int) -> None:
    files = space()
    assert part_of(files, output(files, b"0123456789"), start, end) == b"0123456789"[start:end]


def test_readers_that_wait_for_slow_clients_keep_nobody_out(space: Space) -> None:
    files = space(s3_timeout_seconds=2)
    file_id = output(files, b"0123456789")
    with ExitStack() as unread:
        for _ in range(25):
            unread.enter_context(closing(files.reader(file_id, 0, 10)))
        assert part_of(files, file_id, 2, 5) == b"234"
        assert read(files, f"upload:{output(files, b'new')}") == b"new"


def test_a_removed_file_is_not_found(space: Space) -> None:
    files = space()
    made = output(files, b"x")
    files.remove(made)
    files.remove(made)
    with pytest.raises(NotFound):
        files.reader(made, 0, 1)
    with pytest.raises(InputRefused, match="no such file"):
        files.open_input(f"upload:{made}")


def test_files_stored_in_the_folder_earlier_are_found_there(space: Space, tmp_path: Path) -> None:
    local = FileSpace(FilesSection(directory=tmp_path / "space"))
    old = output(local, b"old")
    files = space()
    assert (read(files, f"upload:{old}"), part_of(files, old, 1, 3)) == (b"old", b"ld")
    files.remove(old)
    assert not local.path_of(old).exists()


def test_a_sweep_removes_only_dtqs_own_old_objects_without_a_row_and_unfinished_uploads(
    space: Space, bucket: Bucket
) -> None:
    files = space()
    kept, lost = output(files, b"x"), output(files, b"x")
    for key in ("dtqs/readme.txt", f"other/{lost}", f"dtqs2/{lost}"):
        bucket.put(key, b"not ours")
    assert files.sweep(lambda ids: {kept}, 60, 100) == 0
    for key in (f"dtqs/{uuid7()}", "dtqs/theirs"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    assert files.sweep(lambda ids: {kept}, -60, 100) == 2
    assert bucket.listed() == [f"dtqs/{kept}", "dtqs/readme.txt", f"dtqs2/{lost}", f"other/{lost}"]
    assert len(bucket.unended()) == 1


def test_files_that_a_dead_worker_stored_for_no_task_are_removed_from_the_bucket(
    bucket: Bucket, tmp_path: Path
) -> None:
    section, owner = FilesSection(directory=tmp_path / "space", **bucket.settings()), uuid7()
    with closing(FileSpace(section, owner)) as worker, closing(FileSpace(section)) as keeper:
        delivered, lost = output(worker, b"one"), output(worker, b"two")
        assert keeper.clear(owner, lambda ids: {delivered}) == 1
        assert read(keeper, f"upload:{delivered}") == b"one"
        with pytest.raises(InputRefused):
            keeper.open_input(f"upload:{lost}")
    assert left_over(tmp_path) == []


def test_each_sweep_continues_where_the_last_one_ended_and_begins_again_at_the_end(space: Space) -> None:
    files = space()
    made = [output(files, b"x") for _ in range(5)]
    asked: list[str] = []

    def keep(ids: Any) -> set[str]:
        asked.extend(ids)
        return set(ids)

    for _ in range(4):
        files.sweep(keep, -60, 2)
    assert asked == [*made, *made[:2]]


# --- sources


def test_an_object_of_an_allowed_bucket_is_a_source(space: Space, bucket: Bucket) -> None:
    files = space(s3_sources=(bucket.name,))
    for key in ("a.jpg", "b/c d+e%20ü~(1)=&?#.jpg", "folder/"):
        bucket.put(key, key.encode())
        assert read(files, f"s3://{bucket.name}/{key}") == key.encode()


def test_the_allowed_places_of_sources_are_configured(space: Space, bucket: Bucket) -> None:
    bucket.put("public/a", b"x")
    bucket.put("private/a", b"x")
    files = space(s3_sources=(f"{bucket.name}/public/", "another"))
    assert read(files, f"s3://{bucket.name}/public/a") == b"x"
    for key in ("private/a", "publicity"):
        assert files.refusal(f"s3://{bucket.name}/{key}") == "not in a bucket of [files] s3_sources"
        with pytest.raises(InputRefused, match="not in a bucket"):
            files.open_input(f"s3://{bucket.name}/{key}")
    assert "not configured" in (space().refusal(f"s3://{bucket.name}/public/a") or "")


def test_uploads_and_outputs_cannot_be_named_by_their_key(space: Space, bucket: Bucket) -> None:
    files = space(s3_sources=(bucket.name,))
    with pytest.raises(InputRefused, match="only as upload:ID"):
        files.open_input(f"s3://{bucket.name}/dtqs/{output(files, b'x')}")


def test_a_source_that_is_missing_or_too_long_is_refused(space: Space, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("long", b"x" * 1001)
    files = space(s3_sources=(bucket.name, "no-such-bucket"), fetch_max_bytes=1000)
    with pytest.raises(TooLarge, match="1000 bytes"):
        files.open_input(f"s3://{bucket.name}/long")
    for place in (f"{bucket.name}/missing", "no-such-bucket/a"):
        with pytest.raises(InputRefused, match="no such object"):
            files.open_input(f"s3://{place}")
    assert left_over(tmp_path) == []


# --- refusals and outages


def test_the_doctor_tells_whether_the_bucket_is_reachable(bucket: Bucket, tmp_path: Path) -> None:
    def found(**settings: Any) -> list[tuple[str, str, str]]:
        path = tmp_path / "dtqs.ini"
        path.write_text("[files]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        return [(check.part, check.state, check.found) for check in servers.storage(load(path, {}))]

    place = f"{bucket.endpoint}: {bucket.name}"
    assert found(**bucket.settings()) == [("object storage", OK, place)]
    assert found(**bucket.settings(s3_secret_key="wrong")) == [
        ("object storage", FAILED, f"{place}: the object storage answers 403 SignatureDoesNotMatch")
    ]
    assert found(store="local") == []


def test_a_wrong_secret_is_reported_by_the_servers_code_and_is_worth_a_retry(
    space: Space, bucket: Bucket, tmp_path: Path
) -> None:
    files = space(s3_secret_key="not the secret")
    for call in (files.look, lambda: output(files, b"x"), lambda: read(files, f"upload:{uuid7()}")):
        with pytest.raises(FilesUnavailable, match="403 SignatureDoesNotMatch"):
            call()
    with pytest.raises(FilesUnavailable, match="404 NoSuchBucket"):
        output(space(s3_bucket="no-such-bucket"), b"x")
    assert (bucket.listed(), left_over(tmp_path)) == ([], [])


def test_an_unreachable_server_is_worth_a_retry(space: Space) -> None:
    files = space(s3_endpoint=f"http://127.0.0.1:{free_port()}")
    with Clock() as clock, pytest.raises(FilesUnavailable, match=r"could not be reached.*refused"):
        output(files, b"x")
    assert clock.seconds < 5


def test_a_short_fault_is_retried_at_once(site: Site, space: Space) -> None:
    answers = [
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]
    file_id = uuid7()
    site.answers[f"/files/{file_id}"] = lambda connection: connection.sendall(answers.pop(0))
    files = space(s3_endpoint=site.url(""), s3_bucket="files", s3_prefix="")
    assert read(files, f"upload:{file_id}") == b"ok"


def test_a_cut_download_continues_at_its_position(site: Site, space: Space) -> None:
    def cut(connection: socket.socket) -> None:
        first = len(site.seen) == 1
        connection.sendall(
            b"HTTP/1.1 206 Partial\r\nContent-Length: %d\r\n\r\n%s" % ((10, b"0123") if first else (6, b"456789"))
        )

    file_id = uuid7()
    site.answers[f"/files/{file_id}"] = cut
    assert part_of(space(s3_endpoint=site.url(""), s3_bucket="files", s3_prefix=""), file_id, 0, 10) == b"0123456789"
    assert [headers["range"] for _, headers in site.seen] == ["bytes=0-9", "bytes=4-9"]


def test_the_bucket_may_be_part_of_the_host_name(site: Site, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: real("127.0.0.1" if host == "files.s3.example" else host, *rest, **options),
    )
    file_id = uuid7()
    site.answers[f"/{file_id}"] = (200, {}, b"ok")
    assert (
        read(
            space(s3_endpoint=site.url("", "s3.example"), s3_bucket="files", s3_prefix="", s3_path_style=False),
            f"upload:{file_id}",
        )
        == b"ok"
    )
    assert site.seen[0][1]["host"] == f"files.s3.example:{site.port}"


def test_a_wait_for_a_silent_server_ends(site: Site, space: Space) -> None:
    file_id = uuid7()
    site.answers[f"/files/{file_id}"] = site.silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    with Clock() as clock, pytest.raises(FilesUnavailable, match="could not be reached"):
        read(
            space(s3_endpoint=site.url(""), s3_bucket="files", s3_prefix="", s3_timeout_seconds=1), f"upload:{file_id}"
        )
    assert clock.seconds < 5


def test_other_greenlets_run_while_a_patched_process_waits(site: Site, tmp_path: Path) -> None:
    program = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, sys
from pathlib import Path
from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace
turns = 0
def count():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)
gevent.spawn(count)
store = {"store": "s3", "s3_bucket": "files", "s3_access_key": "a", "s3_secret_key": "b", "s3_timeout_seconds": 1}
space = FileSpace(FilesSection(directory=Path(sys.argv[1]), s3_endpoint=sys.argv[2], **store))
try:
    space.open_input(f"upload:{sys.argv[3]}")
except FilesUnavailable:
    print(turns)
"""
    file_id = uuid7()
    site.answers[f"/files/{file_id}"] = site.silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    command = [sys.executable, "-c", program, str(tmp_path), site.url(""), file_id]
    done = subprocess.run(
        command, check=True, timeout=60, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert int(done.stdout) > 20


def write_nothing(file: BinaryIO) -> None:
    """Write an output of no bytes."""


def test_an_empty_file_can_be_stored(space: Space) -> None:
    files = space()
    made = files.add_output("o", write_nothing, "text/plain").file_id
    assert (read(files, f"upload:{made}"), part_of(files, made, 0, 0)) == (b"", b"")
