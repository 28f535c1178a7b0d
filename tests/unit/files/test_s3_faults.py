"""Answers of object storage: the temporary ones are retried, at once or at the time that the storage names."""

import io

import httpcore
import pytest

from dtqs.config.files_section import FilesSection
from dtqs.errors import FilesUnavailable, InputRefused
from dtqs.files import s3_wire
from dtqs.files.bucket import BucketSources
from dtqs.files.s3 import S3Client
from dtqs.files.s3_wire import Request, S3Refused, S3Wire

SECTION = FilesSection(s3_sources=("pictures",))


class Answers:
    """A connection pool that gives one answer to every request."""

    def __init__(self, status: int, code: str = "", wait: str = "") -> None:
        self.status, self.wait, self.asked = status, wait, 0
        self.body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        self.asked += 1
        headers = [(b"Retry-After", self.wait.encode())] if self.wait else []
        return httpcore.Response(self.status, headers=headers, content=self.body)

    def close(self) -> None:
        pass


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds that were waited between requests, without the wait."""
    seconds: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", seconds.append)
    return seconds


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> S3Wire:
    made = S3Wire(SECTION)
    plain = httpcore.Request("GET", "http://s3.example/pictures/a")
    monkeypatch.setattr(made, "_made", lambda request: plain)
    return made


def storage(wire: S3Wire, answers: Answers) -> Answers:
    wire._pool = wire._readers = answers  # type: ignore[assignment]
    return answers


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "TooManyRequests"),
        (429, ""),
        (408, ""),
        (425, ""),
        (409, "OperationAborted"),
        (403, "RequestTimeTooSkewed"),
        (307, "TemporaryRedirect"),
        (400, "RequestTimeout"),
        (400, "ThrottlingException"),
        (400, "Throttling"),
        (400, "RequestThrottled"),
        (400, "ExpiredToken"),
        (503, "SlowDown"),
        (500, ""),
    ],
)
def test_a_temporary_fault_is_retried(wire: S3Wire, waits: list[float], status: int, code: str) -> None:
    answers = storage(wire, Answers(status, code))
    with pytest.raises(FilesUnavailable, match=f"answers {status}"):
        wire.ask(Request("GET", "pictures", "a"))
    assert answers.asked == s3_wire._ATTEMPTS
    assert len(waits) == s3_wire._ATTEMPTS - 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (404, "NoSuchKey"), (409, "BucketNotEmpty"), (400, "Unthrottled"), (301, "")],
)
def test_a_lasting_fault_is_refused_after_one_request(wire: S3Wire, waits: list[float], status: int, code: str) -> None:
    answers = storage(wire, Answers(status, code))
    with pytest.raises(S3Refused):
        wire.ask(Request("GET", "pictures", "a"))
    assert (answers.asked, waits) == (1, [])


def test_a_short_retry_after_is_waited_for(wire: S3Wire, waits: list[float]) -> None:
    storage(wire, Answers(429, wait="2"))
    with pytest.raises(FilesUnavailable):
        wire.ask(Request("GET", "pictures", "a"))
    assert min(waits) == 2


def test_a_source_is_fetched_again_at_the_time_that_the_storage_names(wire: S3Wire, waits: list[float]) -> None:
    answers = storage(wire, Answers(429, "TooManyRequests", "60"))
    client = S3Client(SECTION)
    client._wire = wire
    with pytest.raises(FilesUnavailable) as caught:
        BucketSources(SECTION, client).fetch("s3://pictures/a", "pictures/a", io.BytesIO())
    assert not isinstance(caught.value, InputRefused)
    assert (caught.value.retry_after_seconds, answers.asked, waits) == (60, 1, [])


@pytest.mark.parametrize("source", ["archive/public", "archive/public/"])
def test_a_folder_of_sources_opens_no_folder_whose_name_begins_alike(source: str) -> None:
    sources = BucketSources(FilesSection(s3_sources=(source, "pictures")), S3Client(SECTION))
    assert sources.refusal("archive/public/a.png") is None
    assert sources.refusal("pictures/a.png") is None
    for place in ("archive/public-drafts/a.png", "archive/publications.pdf", "archive-2/public/a", "pictures-2/a"):
        assert sources.refusal(place) == "not in a bucket of [files] s3_sources"


def test_one_object_may_be_a_source() -> None:
    sources = BucketSources(FilesSection(s3_sources=("archive/logo.png",)), S3Client(SECTION))
    assert sources.refusal("archive/logo.png") is None
    assert sources.refusal("archive/logo.png.bak") == "not in a bucket of [files] s3_sources"
