"""Problem documents: a 503 names the part that is unreachable, and repeats nothing from its driver."""

import falcon
import falcon.testing
import pytest

from dtqs.api.http.problems import add_handlers
from dtqs.errors import BrokerUnavailable, FilesUnavailable, StoreUnavailable, TransientError


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
