"""Temporary keys and large files in object storage, on a real server that checks signatures and session tokens."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace
from dtqs.files.s3 import S3Client
from dtqs.files.s3_upload import PART_BYTES
from tests.support.fix_aws import Aws, Given
from tests.support.fix_s3 import Bucket
from tests.support.fix_site import Site

NO_KEYS: dict[str, Any] = {"s3_access_key": "", "s3_secret_key": None}


def round_trip(section: FilesSection) -> bytes:
    """Store an output, and read it again."""
    with closing(FileSpace(section)) as files:
        made = files.add_output("o", lambda file: file.write(b"output"), "text/plain")
        with files.open_input(f"upload:{made.file_id}") as file:
            return file.read()


@pytest.fixture
def large(tmp_path: Path) -> Iterator[int]:
    """A file of five parts and a bit, all different."""
    path = tmp_path / "large"
    path.write_bytes(b"".join(os.urandom(1 << 20) * 8 for _ in range(5)) + b"end")
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_temporary_keys_work_with_their_session_token_only(bucket: Bucket, tmp_path: Path) -> None:
    keys = bucket.temporary_keys()
    assert round_trip(FilesSection(directory=tmp_path, **bucket.settings(**keys))) == b"output"
    for token in ({}, {"s3_session_token": "another"}):
        wrong = {**bucket.settings(**keys), "s3_session_token": None, **token}
        with pytest.raises(FilesUnavailable, match=r"the object storage answers 40[03]"):
            round_trip(FilesSection(directory=tmp_path, **wrong))


def test_the_role_of_a_container_stores_and_reads(
    bucket: Bucket, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    access_key, secret_key, token = bucket.temporary_keys().values()
    aws.given = [Given(access_key, secret_key, token)]
    assert round_trip(FilesSection(directory=tmp_path, **bucket.settings(**NO_KEYS))) == b"output"
    assert [path for path, _, _ in aws.seen] == ["GET /container"]


def test_keys_that_the_storage_calls_ended_are_asked_for_again(
    aws: Aws, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.given = [Given("FIRST"), Given("SECOND")]
    ended = b"<Error><Code>ExpiredToken</Code></Error>"
    answers = [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(ended), ended),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]
    site.answers["/files/a"] = lambda connection: connection.sendall(answers.pop(0))
    section = FilesSection(directory=tmp_path, s3_endpoint=site.url(""), s3_sources=("files",))
    with closing(FileSpace(section)) as files, files.open_input("s3://files/a") as file:
        assert file.read() == b"ok"
    keys = [headers["Authorization"].split("Credential=")[1].split("/")[0] for _, headers in site.seen]
    assert keys == ["FIRST", "SECOND"]


def test_parts_that_are_sent_at_once_make_the_right_object(bucket: Bucket, large: int) -> None:
    size = os.fstat(large).st_size
    with closing(S3Client(FilesSection(**bucket.settings()))) as client:
        client.put(bucket.name, "large", large, size, "")
    assert bucket.get("large") == os.pread(large, size, 0)
    assert bucket.client.head_object(Bucket=bucket.name, Key="large")["ETag"].endswith('-6"')


def test_a_part_that_cannot_be_sent_drops_the_upload(bucket: Bucket, large: int) -> None:
    size = os.fstat(large).st_size + PART_BYTES
    client = S3Client(FilesSection(**bucket.settings()))
    with closing(client), pytest.raises(FilesUnavailable, match="became shorter"):
        client.put(bucket.name, "large", large, size, "")
    assert (bucket.unended(), bucket.listed()) == ([], [])


def test_others_run_while_a_patched_process_sends_parts(bucket: Bucket, large: int) -> None:
    program = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, json, os, sys
from dtqs.config import FilesSection
from dtqs.files.s3 import S3Client
turns = 0
def count():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)
client = S3Client(FilesSection(**json.loads(sys.argv[1])))
fd = int(sys.argv[2])
gevent.spawn(count)
client.put(sys.argv[3], "large", fd, os.fstat(fd).st_size, "")
print(turns)
"""
    command = [sys.executable, "-c", program, json.dumps(bucket.settings()), str(large), bucket.name]
    done = subprocess.run(
        command,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        pass_fds=(large,),
    )
    assert int(done.stdout) > 10
    assert bucket.get("large") == os.pread(large, os.fstat(large).st_size, 0)
