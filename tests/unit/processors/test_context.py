"""The parts of a processor's Context that work without a worker."""

import pytest

from dtqs.errors import InputRefused, PermanentError
from dtqs.processors.base import Context
from dtqs.turn import Turn
from dtqs.uuid7 import uuid7
from tests.support.fix_processors import Attempt


def test_a_limit_named_twice_is_one_limit(attempt: Attempt) -> None:
    attempt.context().take_all([Turn("b", 1), Turn("a", 1), Turn("b", 1)])
    assert attempt.reports.turns == [Turn("b", 1), Turn("a", 1)]


@pytest.mark.parametrize("other", [Turn("a", 2), Turn("a", 1, 5)])
def test_two_rates_of_one_limit_are_refused_with_a_message_and_take_no_turn(attempt: Attempt, other: Turn) -> None:
    with pytest.raises(PermanentError, match="the rate limit a is given twice, with different rates or bursts"):
        attempt.context().take_all([Turn("b", 1), Turn("a", 1), other])
    assert attempt.reports.turns == []


def test_a_name_of_an_output_may_have_joiners_but_no_control_character(attempt: Attempt) -> None:
    name = "\u0645\u06cc\u200c\u0631\u0648\u0645 👩\u200d👧\u00a0: 3"
    assert attempt.context().add_output(name, lambda file: file.write(b"x"), "text/plain")["name"] == name
    attempt.context().take(name, 1)
    for refused in ("a\nb", "\u202ea", "\ud800", "", "x" * 256):
        with pytest.raises(PermanentError, match="without control characters"):
            attempt.context().add_output(refused, lambda file: file.write(b"x"), "text/plain")


@pytest.mark.parametrize("form", ["upload:{}", "UPLOAD:{}", "Upload:{}"])
def test_an_upload_is_opened_only_if_its_owner_is_the_tasks(attempt: Attempt, form: str) -> None:
    asked = []

    def refuse(task_id: str, uri: str, file_id: str) -> None:
        asked.append((task_id, file_id))
        raise InputRefused(uri, "not the task's")

    file_id, task_id = uuid7(), uuid7()
    context = Context(task_id, 1, attempt.reports, attempt.space, refuse)
    with pytest.raises(InputRefused, match="not the task's"):
        context.open_input(form.format(file_id))
    assert asked == [(task_id, file_id)]
