"""POST /files and GET /files/{id}: uploads and downloads in every form that clients use."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


def uploaded(system: System, content: bytes, headers: dict[str, str] | None = None, query: str = "") -> str:
    response = system.client.post(f"/files{query}", content=content, headers=headers)
    assert response.status_code == 201, response.text
    return str(response.json()["uri"]).removeprefix("upload:")


def stored(system: System) -> list[Path]:
    return [path for path in (system.folder / "files").rglob("*") if path.is_file()]


def test_a_raw_upload_is_measured_and_can_be_downloaded(shared: System) -> None:
    response = shared.client.post("/files", content=PNG, headers={"Content-Type": "text/html"})
    answer = response.json()
    assert response.status_code == 201
    assert answer == {
        "uri": answer["uri"],
        "size_bytes": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "media_type": "image/png",
    }
    assert response.headers["location"] == f"/files/{answer['uri'].removeprefix('upload:')}"
    assert shared.client.get(response.headers["location"]).content == PNG


def test_a_form_with_one_file_is_an_upload(shared: System) -> None:
    content = PNG * 50
    response = shared.client.post("/files", files={"file": ("a photo.png", content)})
    assert response.status_code == 201
    assert response.json()["sha256"] == hashlib.sha256(content).hexdigest()
    download = shared.client.get(response.headers["location"])
    assert download.content == content
    assert 'filename="a photo.png"' in download.headers["content-disposition"]


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_name_in_plain_utf_8_is_kept(shared: System, kind: str) -> None:
    line = 'form-data; name="f"; filename="\u732b.png"'.encode()
    form = b"--x\r\nContent-Disposition: " + line + b"\r\n\r\nabc\r\n--x--\r\n"
    content, headers = (
        (form, [(b"Content-Type", b"multipart/form-data; boundary=x")])
        if kind == "form"
        else (b"abc", [(b"Content-Disposition", line)])
    )
    response = shared.client.post("/files", content=content, headers=headers)
    assert (
        "filename*=UTF-8''%E7%8C%AB.png"
        in shared.client.get(response.headers["location"]).headers["content-disposition"]
    )


def test_a_form_without_exactly_one_file_is_refused_and_leaves_no_file(shared: System) -> None:
    before = len(stored(shared))
    many = [("a", ("a", b"1")), ("b", ("b", b"2"))]
    assert shared.client.post("/files", files=many).status_code == 422
    assert shared.client.post("/files", files={"file": ("a", b"1")}, data={"x": "y"}).status_code == 422
    broken = b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nabc"
    assert (
        shared.client.post(
            "/files", content=broken, headers={"Content-Type": "multipart/form-data; boundary=x"}
        ).status_code
        == 400
    )
    assert (
        shared.client.post("/files", content=broken, headers={"Content-Type": "multipart/form-data"}).status_code == 400
    )
    latin = b"--x\r\nContent-Disposition: form-data; name=f; filename=\xe9\r\n\r\nabc\r\n--x--\r\n"
    assert (
        shared.client.post(
            "/files", content=latin, headers={"Content-Type": "multipart/form-data; boundary=x"}
        ).status_code
        == 400
    )
    assert (
        shared.client.post(
            "/files", content=b"", headers={"Content-Type": "multipart/form-data; boundary=x"}
        ).status_code
        == 400
    )
    assert len(stored(shared)) == before


def test_an_upload_in_chunks_needs_no_length(shared: System) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [PNG] * 500

    response = shared.client.post("/files", content=chunks())
    assert response.status_code == 201
    assert response.json()["size_bytes"] == 500 * len(PNG)


def test_an_upload_over_the_limit_is_refused_and_leaves_no_file(system: Factory) -> None:
    one = system({"files": {"max_upload_bytes": 100_000}}, supervisor=False)

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 10_000] * 20

    assert one.client.post("/files", content=b"x" * 100_001).status_code == 413
    assert one.client.post("/files", content=chunks()).status_code == 413
    assert one.client.post("/files", files={"file": ("a", b"x" * 100_001)}).status_code == 413
    assert one.client.post("/files", content=b"x" * 100_000).status_code == 201
    assert len(stored(one)) == 1


def test_an_upload_whose_client_goes_away_leaves_no_file(shared: System) -> None:
    before = len(stored(shared))
    port = int(shared.url.rpartition(":")[2])
    for header in (b"Content-Length: 5000000", b"Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", port)) as line:
            head = (
                b"POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                + shared.key.encode()
                + b"\r\n"
                + header
                + b"\r\n\r\n"
            )
            line.sendall(head + (b"ffffff\r\n" if b"chunked" in header else b"") + b"x" * 2_000_000)
            eventually(lambda: len(stored(shared)) > before, 10, "the upload has begun")
        eventually(lambda: len(stored(shared)) == before, 10, "no file is left")


def test_uploads_beyond_the_room_of_a_process_are_refused_until_one_has_ended(system: Factory) -> None:
    one = system({"files": {"max_upload_bytes": 4_000_000, "receiving_bytes": 6_000_000}}, supervisor=False)
    head = f"POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.key}\r\nContent-Length: 4000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(one.url.rpartition(":")[2]))) as line:
        line.sendall(head.encode() + b"x" * 18_000)
        eventually(lambda: stored(one), 10, "the upload has begun: its first piece of 16 KiB has come")
        assert one.client.post("/files", content=b"x" * 4_000_000).status_code == 201, (
            "an announced length takes no room"
        )
        (begun,) = [path for path in stored(one) if path.stat().st_size < 4_000_000]
        line.sendall(b"x" * 3_481_000)
        eventually(lambda: begun.stat().st_size >= 3 << 20, 10, "three pieces have come")
        for content in (b"x" * 3_000_000, iter([b"x" * 3_000_000])):
            refused = one.client.post("/files", content=content)
            assert (refused.status_code, "uploads are on their way" in refused.text) == (503, True)
            assert int(refused.headers["retry-after"]) > 0
        assert one.client.post("/files", files={"file": ("a", b"x" * 3_000_000)}).status_code == 503
        assert one.client.post("/files", content=b"x" * 2_000_000).status_code == 201
        line.sendall(b"x" * 501_000)
        assert line.recv(12) == b"HTTP/1.1 201"
    assert one.client.post("/files", content=b"x" * 100_000).status_code == 201


def test_an_upload_may_expect_100_continue(shared: System) -> None:
    port = int(shared.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(
            b"POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + shared.key.encode()
            + b"\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(b"abc")
        assert line.recv(100).startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=5-", (5, None)),
        ("bytes=-7", (-7, None)),
        ("bytes=10-99999999", (10, None)),
        ("bytes=0-0", (0, 1)),
    ],
)
def test_a_range_returns_a_part_of_the_file(shared: System, asked: str, expected: tuple[int, int | None]) -> None:
    file_id = uploaded(shared, PNG)
    response = shared.client.get(f"/files/{file_id}", headers={"Range": asked})
    part = PNG[expected[0] : expected[1]]
    start = expected[0] % len(PNG)
    assert response.status_code == 206
    assert response.content == part
    assert response.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(PNG)}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=x-y", "bytes=-", "bytes=\u00b2-"])
def test_an_invalid_or_multiple_range_returns_the_whole_file(shared: System, asked: str) -> None:
    response = shared.client.get(f"/files/{uploaded(shared, PNG)}", headers=[(b"Range", asked.encode("latin-1"))])
    assert response.status_code == 200
    assert response.content == PNG


def test_a_range_beyond_the_end_is_refused(shared: System) -> None:
    response = shared.client.get(f"/files/{uploaded(shared, PNG)}", headers={"Range": f"bytes={len(PNG)}-"})
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(PNG)}"


def test_a_cached_copy_is_validated_by_its_etag(shared: System) -> None:
    file_id = uploaded(shared, PNG)
    first = shared.client.get(f"/files/{file_id}")
    etag = first.headers["etag"]
    assert etag == f'"{hashlib.sha256(PNG).hexdigest()}"'
    same = shared.client.get(f"/files/{file_id}", headers={"If-None-Match": f'"x", W/{etag}'})
    assert (same.status_code, same.content) == (304, b"")
    assert shared.client.get(f"/files/{file_id}", headers={"Range": "bytes=0-3", "If-Range": etag}).status_code == 206
    assert (
        shared.client.get(f"/files/{file_id}", headers={"Range": "bytes=0-3", "If-Range": '"old"'}).status_code == 200
    )
    head = shared.client.head(f"/files/{file_id}")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(PNG)), b"")


def test_a_query_parameter_names_a_download(shared: System) -> None:
    file_id = uploaded(shared, PNG, {"Content-Disposition": "attachment; filename=old.png"})
    response = shared.client.get(f"/files/{file_id}?name=part.m4s", headers={"Range": "bytes=0-3"})
    assert (response.status_code, response.content) == (206, PNG[:4])
    assert 'filename="part.m4s"' in response.headers["content-disposition"]


@pytest.mark.parametrize(
    "content",
    [b"<html><script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"PK\x03\x04"],
)
def test_a_file_that_a_browser_could_run_is_an_attachment(shared: System, content: bytes) -> None:
    response = shared.client.get(f"/files/{uploaded(shared, content)}")
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


def test_a_hostile_file_name_cannot_add_paths_or_headers(shared: System) -> None:
    hostile = 'attachment; filename="../../et\\"c/pass\twd\u2028; x=1"'
    file_id = uploaded(shared, PNG, {"Content-Disposition": hostile.encode("utf-8")})  # type: ignore[dict-item]
    disposition = shared.client.get(f"/files/{file_id}").headers["content-disposition"]
    assert ".." not in disposition
    assert "/" not in disposition
    assert disposition.count('"') == 2
    named = uploaded(shared, PNG, query="?name=%E2%82%AC%0d%0aX-Evil:1%22.png")
    disposition = shared.client.get(f"/files/{named}").headers["content-disposition"]
    assert "filename*=UTF-8''%E2%82%ACX-Evil%3A1%22.png" in disposition


@pytest.mark.parametrize("file_id", ["x", "0192f3a0-0000-7000-8000-000000000000", "..%2f..%2fetc%2fpasswd", "%00"])
def test_an_unknown_file_is_not_found(shared: System, file_id: str) -> None:
    assert shared.client.get(f"/files/{file_id}").status_code == 404


def test_a_large_file_comes_back_whole(shared: System) -> None:
    content = hashlib.shake_256(b"large").digest(5_000_000)
    assert shared.client.get(f"/files/{uploaded(shared, content)}").content == content
    part = shared.client.get(f"/files/{uploaded(shared, content)}", headers={"Range": "bytes=1000000-3999999"})
    assert part.content == content[1_000_000:4_000_000]
