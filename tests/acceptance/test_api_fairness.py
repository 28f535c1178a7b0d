"""One API key that asks for much delays the requests of another one little."""

import base64
import random
import socket
import time

import httpx

from tests.support.fix_api import open_store
from tests.support.fix_system import Factory

CONNECTIONS, REQUESTS = 300, 100


def test_a_key_that_reads_large_tasks_on_many_connections_delays_no_submit_of_another(system: Factory) -> None:
    one = system(supervisor=False)
    noise = base64.b64encode(random.Random(7).randbytes(one.config.api.max_body_bytes * 7 // 10)).decode()
    task_id = one.submit({"text": noise}, delay_seconds=600)
    with open_store(one) as store:
        secret = store.api_keys.create("modest", ("submit", "read"))[1]
    request = f"GET /tasks/{task_id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.key}\r\n\r\n".encode()
    greedy = [socket.create_connection(("127.0.0.1", int(one.url.rpartition(":")[2]))) for _ in range(CONNECTIONS)]
    seconds: list[float] = []
    try:
        for each in greedy:
            each.sendall(request * REQUESTS)
        with httpx.Client(base_url=one.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30) as modest:
            for _ in range(20):
                began = time.monotonic()
                answer = modest.post("/submit", json={"task_type": "echo", "payload": {}, "delay_seconds": 600})
                seconds.append(time.monotonic() - began)
                assert answer.status_code == 202, answer.text
    finally:
        for each in greedy:
            each.close()
    assert max(seconds) < 1, seconds
