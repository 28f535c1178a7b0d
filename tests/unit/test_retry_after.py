"""The header Retry-After: a number of seconds or a date, for all who ask other servers."""

import email.utils
import time

import httpcore
import pytest

from dtqs.errors import FilesUnavailable
from dtqs.files.fetch import _check_status
from dtqs.retry_after import retry_after


@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120), ("0", 0), (" 5 ", 5), ("-1", 0), ("soon", 0), ("", 0), ("9" * 30, 0)]
)
def test_it_may_be_a_number_of_seconds(value: str, seconds: float) -> None:
    assert retry_after(value, 0) == seconds


def test_it_may_be_a_date() -> None:
    assert retry_after(email.utils.formatdate(1030, usegmt=True), 1000) == 30
    assert retry_after(email.utils.formatdate(970, usegmt=True), 1000) == 0


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
    ],
)
def test_a_date_is_utc_in_each_form(monkeypatch: pytest.MonkeyPatch, date: str) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert retry_after(date, 784111777 - 60) == 60
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("value", [b"60", email.utils.formatdate(4e9, usegmt=True).encode()])
def test_a_source_is_fetched_again_at_the_time_that_its_server_names(value: bytes) -> None:
    with pytest.raises(FilesUnavailable) as caught:
        _check_status("https://example.org/a", httpcore.Response(503, headers=[(b"Retry-After", value)]))
    assert caught.value.retry_after_seconds >= 60
