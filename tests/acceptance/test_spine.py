"""The main use through HTTP: a photograph becomes thumbnails while a client watches.

A client that repeats its submits loses and doubles no task.
"""

import hashlib
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.support.fix_api import Reader
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial

PHOTOGRAPH = Path(__file__).parents[2] / "docs" / "media" / "rocket.jpg"
SOI = b"\xff\xd8\xff"


def test_a_client_watches_its_photograph_become_thumbnails(trial: Try) -> None:
    system = trial(api=True)
    upload = system.client.post("/files", content=PHOTOGRAPH.read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert upload.status_code == 201, upload.text
    accepted = system.client.post("/submit", json={"task_type": "image", "payload": {"source": upload.json()["uri"]}})
    assert accepted.status_code == 202, accepted.text
    # with the ticket in the link, without a key
    with httpx.Client(base_url=system.url) as anybody:
        reader = Reader(anybody, accepted.json()["links"]["sse"]).wait_end()
    names = reader.names
    assert names[0] == "status"
    assert names.count("progress") >= 3
    assert names[-1] == "completed"
    assert [name for name in names if name in ("completed", "failed", "cancelled")] == ["completed"]
    record = reader.events[-1].data
    assert record == system.task(str(record["task_id"]))
    outputs = record["result"]["outputs"]
    assert [max(output["width"], output["height"]) for output in outputs] == [160, 480, 640], "never enlarged"
    for output in outputs:
        content = system.client.get(f"/files/{output['uri'].removeprefix('upload:')}").content
        assert content.startswith(SOI)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (output["size_bytes"], output["sha256"])
    system.check()


def test_an_image_whose_worker_was_killed_has_the_outputs_of_one_attempt(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 1}}, api=True)
    uri = system.client.post("/files", content=PHOTOGRAPH.read_bytes()).json()["uri"]
    task_id = system.submit({"source": uri}, "image", max_retries=1)
    worker = system.holder(task_id)
    system.kill(worker.pid)
    record = system.wait_for(task_id)
    assert record["status"] == "completed"
    rows = system.rows("SELECT id::text FROM files WHERE task_id = %s", task_id)
    assert {f"upload:{row[0]}" for row in rows} == {output["uri"] for output in record["result"]["outputs"]}
    system.check()


class Client:
    """Submits, and repeats each submit with its Idempotency-Key until a 202, as an application should."""

    def __init__(self, system: Trial, end: threading.Event) -> None:
        self._http = httpx.Client(base_url=system.url, headers=system.client.headers, timeout=10)
        self._end = end
        self.accepted: list[str] = []
        self.repeats = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._http.close()

    def _run(self) -> None:
        while not self._end.is_set():
            self._submit({"Idempotency-Key": uuid.uuid4().hex})

    def _submit(self, headers: dict[str, str]) -> None:
        body = {"task_type": "echo", "payload": {"key": headers["Idempotency-Key"]}}
        while True:
            try:
                response = self._http.post("/submit", json=body, headers=headers)
            except httpx.TransportError:
                self.repeats += 1
                # the next API is starting; a refused connection fails at once
                self._end.wait(0.02)
                continue
            assert response.status_code == 202, response.text
            self.accepted.append(response.json()["task_id"])
            return


def test_an_api_killed_during_submits_loses_and_doubles_no_task(trial: Try) -> None:
    system = trial({"api": {"workers": 2}}, api=True)
    plain: list[str] = []
    end = threading.Event()

    def submit_plainly() -> None:
        # without a key and a reply the task may exist or not; after a 202 it must exist
        with httpx.Client(base_url=system.url, headers=system.client.headers, timeout=10) as http:
            while not end.is_set():
                try:
                    plain.append(
                        http.post("/submit", json={"task_type": "echo", "payload": {}})
                        .raise_for_status()
                        .json()["task_id"]
                    )
                except httpx.TransportError:
                    end.wait(0.02)

    clients = [Client(system, end) for _ in range(3)]
    thread = threading.Thread(target=submit_plainly, daemon=True)
    thread.start()
    try:
        for _ in range(2):
            wait_for_more(clients, 200)
            system.kill_api()
            system.start_api()
        wait_for_more(clients, 100)
    finally:
        end.set()
        for client in clients:
            client.join()
        thread.join(30)
    keyed = [task_id for client in clients for task_id in client.accepted]
    assert sum(client.repeats for client in clients) > 0, "the kills interrupted no submit"
    assert len(set(keyed)) == len(keyed)
    assert set(system.outcomes([*keyed, *plain], 30)) == {"completed"}
    system.done()
    # one task for each key, whatever the number of submits
    keys = system.rows("SELECT count(*), count(DISTINCT payload ->> 'key') FROM tasks WHERE payload::jsonb ? 'key'")
    assert keys == [(len(keyed), len(keyed))]
    assert system.spent().keys() == {1}


def wait_for_more(clients: Sequence[Client], more: int) -> None:
    at = sum(len(client.accepted) for client in clients)
    eventually(lambda: sum(len(client.accepted) for client in clients) >= at + more, 20, "submits are accepted")
