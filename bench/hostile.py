"""Measure the worst known bodies: the API's processor time per KB, and another caller's latency meanwhile.

    python bench/hostile.py [--rounds 3] [--json]

The processor time is compared with an ordinary array.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial

import httpx
import orjson
from cpu import Meter
from http_load import tiny
from product import Product, running
from report import Compared, show
from rig import Rig, say

_RATIO_AT_MOST = 10.0
_LATENCY_MS_AT_MOST = 100.0
_EACH_SECONDS = 1.0
_ARRAY = 1000
_UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


def bodies() -> dict[str, bytes]:
    """Return the worst known bodies. The API refuses most of them."""
    mail = {"to": ["ada@example.org"], "subject": "a", "text": "b"}
    video = {"source": _UPLOAD}
    attachments = [{"source": f"{_UPLOAD[:-6]}{number:06d}", "filename": "a" * 190} for number in range(100)]
    unknown = {f"field{number}": 0 for number in range(100)}
    return {
        "mail with 100 attachments": _tasks("email", mail | {"attachments": attachments, "text": "b" * 70_000}),
        "20 mails with 100 attachments": _tasks("email", *[mail | {"attachments": attachments}] * 20),
        "500 mails with 100 attachments": _tasks(
            "email", *[mail | {"attachments": [{"source": _UPLOAD, "filename": "a"}] * 100}] * 500
        ),
        "1000 tasks of 4 KB": _tasks("echo", *[{"a": "\u00fc" * 2000}] * 1000),
        "mails to hostile addresses": _tasks("email", *[mail | {"to": [" <" * 245 + "@"] * 20}] * 100),
        "mails to domains beyond ASCII": _tasks("email", *[mail | {"to": ["a@" + "ü." * 30 + "de"] * 100}] * 10),
        "small, to domains beyond ASCII": _tasks("email", mail | {"to": ["a@" + "ü." * 30 + "de"] * 75}),
        "100 videos with 100 unknown fields": _tasks("video", *[video | unknown] * 100),
        "130,000 empty outputs": _tasks("video", video | {"outputs": [{}] * 130_000}),
        "300,000 unknown fields": _tasks("video", video | {f"k{number}": 0 for number in range(300_000)}),
        "4 MB of small objects": _tasks("echo", {"a": [{"a": {"b": [[], 1]}}] * 200_000}),
        "long numbers": _tasks("echo", {"a": [1234567890123456789] * 100_000}),
        "doubled keys": b'{"task_type": "echo", "payload": {%s}}' % b", ".join([b'"a": 1'] * 200_000),
        "1000 wrong tasks": orjson.dumps([{"task_type": "nosuch", "payload": {}, "priority": 99}] * 1000),
        "small, of wrong fields": _tasks("video", video | {f"k{number}": 0 for number in range(2000)}),
    }


def _tasks(task_type: str, *payloads: object) -> bytes:
    made = [{"task_type": task_type, "payload": payload} for payload in payloads]
    return orjson.dumps(made if len(made) > 1 else made[0])


class Other:
    """Another caller that submits one tiny task after the other, as a context manager; `waits` are milliseconds."""

    def __init__(self, client: httpx.Client) -> None:
        self._client, self._ended = client, threading.Event()
        self.waits: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Other":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            began = time.monotonic()
            self._client.post("/submit", json=tiny()).raise_for_status()
            self.waits.append(1000 * (time.monotonic() - began))


def measure(rig: Rig, rounds: int) -> list[Compared]:
    ordinary = orjson.dumps(tiny(_ARRAY))
    costs = {
        name: Compared(f"µs per KB: {name}", "µs", f"array of {_ARRAY}", at_most=_RATIO_AT_MOST) for name in bodies()
    }
    waits = {name: Compared(f"another caller, p90: {name}", "ms", at_most=_LATENCY_MS_AT_MOST) for name in bodies()}
    with running(rig) as product, _client(product) as client, _client(product) as other:
        for number in range(1, rounds + 1):
            beside = cost_per_kb(product, lambda: client.post("/submit", content=ordinary), len(ordinary))
            for name, body in bodies().items():
                with Other(other) as caller:
                    ours = cost_per_kb(product, partial(client.post, "/submit", content=body), len(body))
                costs[name].add(ours, beside)
                waits[name].add(statistics.quantiles(caller.waits, n=10, method="inclusive")[8])
                say(
                    f"round {number} of {rounds}: {name}: {ours:.0f} µs per KB ({beside:.0f}), "
                    f"another caller p90 {waits[name].ours[-1]:.1f} ms"
                )
    return [*costs.values(), *waits.values()]


def cost_per_kb(product: Product, send: Callable[[], object], size: int) -> float:
    """Send a request for at least a second; return microseconds of the API's processor time per KB."""
    meter, began, sent = Meter({"API": product.server.pid}), time.monotonic(), 0
    while sent == 0 or time.monotonic() - began < _EACH_SECONDS:
        send()
        sent += size
    return meter.per_task(sent / 1000)["API"]


def _client(product: Product) -> httpx.Client:
    headers = {"Authorization": f"Bearer {product.key}", "Content-Type": "application/json"}
    return httpx.Client(base_url=f"http://127.0.0.1:{product.port}", headers=headers, timeout=60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results = measure(rig, arguments.rounds)
    show("hostile bodies", results, arguments.json)


if __name__ == "__main__":
    main()
