"""A whole system whose files are in object storage: uploaded, fetched, made, downloaded."""

import hashlib
import io
import os
import signal
import socket
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.fix_s3 import Bucket
from tests.support.fix_site import Site
from tests.support.fix_system import Factory
from tests.support.helpers import eventually


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 32), colour).save(file, "PNG")
    return file.getvalue()


def test_sources_from_web_bucket_and_upload_become_outputs_in_the_bucket(
    system: Factory, bucket: Bucket, site: Site
) -> None:
    fetching = {"fetch_ports": site.port, "fetch_allow_hosts": "127.0.0.1", "s3_sources": f"{bucket.name}/pictures"}
    one = system({"files": bucket.settings(**fetching)})
    site.answers["/a.png"] = (200, {}, picture("red"))
    bucket.put("pictures/a.png", picture("green"))
    upload = one.client.post("/files", content=picture("blue"), params={"name": "a.png"}).json()
    colours = {}
    tasks = {
        one.submit({"source": source, "outputs": [{"name": "half", "width": 32, "format": "png"}]}, "image"): source
        for source in (site.url("/a.png"), f"s3://{bucket.name}/pictures/a.png", upload["uri"])
    }
    for task_id in tasks:
        task: dict[str, Any] = one.wait_for(task_id)
        assert task["status"] == "completed", task
        (output,) = task["result"]["outputs"]
        body = one.client.get(f"/files/{output['uri'].removeprefix('upload:')}").content
        assert hashlib.sha256(body).hexdigest() == output["sha256"]
        with Image.open(io.BytesIO(body)) as image:
            assert image.size == (32, 16)
            colours[task_id] = image.convert("RGB").getpixel((1, 1))
        part = one.client.get(f"/files/{output['uri'].removeprefix('upload:')}", headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
    assert list(colours.values()) == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]
    assert sum(key.startswith("dtqs/") for key in bucket.listed()) == 4  # the upload and three outputs
    assert {path.name for path in (one.folder / "files").rglob("*") if path.is_file()} <= {"stored"}, (
        "only the workers' lists of files in the bucket"
    )

    large = b"0123456789abcdef" * (9 << 16)
    uploaded = one.client.post("/files", content=large).json()
    assert (uploaded["size_bytes"], uploaded["sha256"]) == (len(large), hashlib.sha256(large).hexdigest())
    file_id = uploaded["uri"].removeprefix("upload:")
    assert one.client.get(f"/files/{file_id}").content == large
    bucket.client.delete_object(Bucket=bucket.name, Key=f"dtqs/{file_id}")
    assert one.client.get(f"/files/{file_id}").status_code == 404
    assert bucket.secret_key not in one.log("api") + one.log("supervisor")


def test_the_upload_of_a_killed_process_is_deleted_by_its_api(system: Factory, bucket: Bucket) -> None:
    """The folder of an API's container has no keeper, and its volume is small."""
    one = system({"files": bucket.settings(), "api": {"workers": 1}}, supervisor=False)
    assert one.api
    (process,) = map(int, Path(f"/proc/{one.api.pid}/task/{one.api.pid}/children").read_text(encoding="ascii").split())
    temporary = one.folder / "files" / "tmp"
    head = f"POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.key}\r\nContent-Length: 4000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(one.url.rpartition(":")[2]))) as line:
        line.sendall(head.encode() + b"x" * 2_000_000)
        eventually(lambda: list(temporary.glob("*.part")), 10, "the upload has begun")
        os.kill(process, signal.SIGKILL)
        eventually(lambda: not list(temporary.glob("*.part")), 10, "the upload is deleted")
    words = "unfinished uploads of processes that have ended are deleted: 1"
    eventually(lambda: words in one.log("api"), 10, "the log says so")
    eventually(lambda: one.client.get("/readyz").status_code == 200, 30, "a new process serves")
    assert one.client.post("/files", content=b"x").status_code == 201
