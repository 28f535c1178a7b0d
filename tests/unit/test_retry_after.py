"""The header Retry-After: a number of seconds or a date, for all who ask other servers."""

import email.utils

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


@pytest.mark.parametrize("value", [b"60", email.utils.formatdate(4e9, usegmt=True).encode()])
def test_a_source_is_fetched_again_at_the_time_that_its_server_names(value: bytes) -> None:
    with pytest.raises(FilesUnavailable) as caught:
        _check_status("https://example.org/a", httpcore.Response(503, headers=[(b"Retry-After", value)]))
    assert caught.value.retry_after_seconds >= 60
