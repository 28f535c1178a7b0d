"""Problem documents: a 503 names the part that is unreachable, and repeats nothing from its driver."""

import falcon
import falcon.testing
import pytest

from dtqs.api.http.problems import add_handlers
from dtqs.errors import BrokerUnavailable, FilesUnavailable, StoreUnavailable, TransientError
from dtqs.files import DiskReserved


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def on_get(self, _: falcon.Request, __: falcon.Response) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreUnavailable("user dtqs at db-7"), "PostgreSQL cannot be reached, or is too slow,"),
        (BrokerUnavailable("user dtqs at mq-7"), "RabbitMQ cannot be reached, or is too slow,"),
        (DiskReserved(7), "the disk of the files is almost full, and the rest is kept for outputs of tasks,"),
        (FilesUnavailable("/srv/7 is full"), "the place where files are kept cannot be reached, or is full,"),
        (TransientError("7"), "a dependency cannot be reached"),
    ],
)
def test_a_503_names_the_part_that_is_unreachable(error: Exception, words: str) -> None:
    app = falcon.App()
    add_handlers(app)
    app.add_route("/", Failing(error))
    answer = falcon.testing.TestClient(app).simulate_get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json["detail"] == f"{words} at the moment; nothing is lost, try again"


class Begun(Failing):
    """Its answer has headers when it fails."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_headers({"ETag": '"x"', "Cache-Control": "private, no-cache", "Content-Range": "bytes 0-1/2"})
        resp.content_length, resp.content_location = 2, "/x"
        super().on_get(req, resp)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("away"), falcon.HTTPRangeNotSatisfiable(7), ValueError("x"), falcon.HTTPNotFound()]
)
def test_a_problem_keeps_no_header_of_the_answer_that_failed(error: Exception) -> None:
    app = falcon.App()
    add_handlers(app)
    app.add_route("/", Begun(error))
    answer = falcon.testing.TestClient(app).simulate_get("/")
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content) > 50
    assert not {"etag", "content-location"} & answer.headers.keys()
    assert answer.headers.get("content-range") == ("bytes */7" if answer.status_code == 416 else None)
