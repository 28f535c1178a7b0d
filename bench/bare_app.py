"""Apps to compare the API with: a Falcon app without a database, one with an INSERT per request, and one that streams.

gunicorn loads one of them with the product's own settings, in its own processes. BENCH_ANSWER is a reply of the
product, BENCH_DSN a database with the yardstick's schema.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import falcon
import gevent
import orjson
from psycopg_pool import ConnectionPool

from dtqs.uuid7 import uuid7

_INSERT = (Path(__file__).parent / "sql" / "insert.sql").read_bytes()
_POOL_SIZE = 8
_HELD_SECONDS = 600


class Bare:
    """Read the body and answer."""

    def __init__(self, answer: str) -> None:
        self._answer = answer.encode()
        self._location = str(orjson.loads(answer)["links"]["self"])

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.bounded_stream.read()
        _reply(resp, self._answer, self._location)


class Streaming:
    """Send one event, and hold the stream open."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = "text/event-stream"
        resp.stream = self._events()

    def _events(self) -> Iterator[bytes]:
        yield b"event: pending\ndata: {}\n\n"
        gevent.sleep(_HELD_SECONDS)


class OneInsert:
    """Also insert the task and its backlog row, in a commit for each request."""

    def __init__(self, answer: str, pool: "ConnectionPool[Any]") -> None:
        self._answer, self._first_id, self._pool = answer, str(orjson.loads(answer)["task_id"]), pool

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        payload = orjson.dumps(orjson.loads(req.bounded_stream.read())["payload"]).decode()
        task_id = uuid7()
        with self._pool.connection() as connection:
            connection.execute(_INSERT, {"ids": f"{{{task_id}}}", "payloads": [payload]})
        _reply(resp, self._answer.replace(self._first_id, task_id).encode(), f"/tasks/{task_id}")


class Service:
    """A WSGI application that is built after the fork, as the product's gunicorn settings require."""

    def __init__(self, with_insert: bool) -> None:
        self._with_insert = with_insert
        self._pool: ConnectionPool[Any] | None = None
        self._app: Any = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def start(self, _worker: object) -> None:
        answer = os.environ["BENCH_ANSWER"]
        resource: Bare | OneInsert = Bare(answer)
        if self._with_insert:
            settings = {"autocommit": True, "prepare_threshold": 0}
            self._pool = ConnectionPool(
                os.environ["BENCH_DSN"], kwargs=settings, min_size=1, max_size=_POOL_SIZE, open=True
            )
            self._pool.wait(10)
            resource = OneInsert(answer, self._pool)
        app: Any = falcon.App()
        app.add_route("/submit", resource)
        app.add_route("/sse", Streaming())
        self._app = app

    def stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(1)


def _reply(resp: falcon.Response, answer: bytes, location: str) -> None:
    resp.status = falcon.HTTP_202
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("Location", location)
    resp.data = answer


without_database, one_insert = Service(with_insert=False), Service(with_insert=True)
