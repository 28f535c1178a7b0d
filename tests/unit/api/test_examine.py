"""The cost of a submit's body: one walk finds all sources, the list of problems ends, long lists are not read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from dtqs.api.http.strict import TooDear
from dtqs.api.submit import bound
from dtqs.api.submit.bound import ADDRESSES_BEYOND_ASCII, MEMBERS, OBJECTS, PAYLOAD_CHARACTERS, SLOW_BYTES, LoopBound
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.envelope import ARRAY_LIMIT
from dtqs.api.submit.examine import INLINE_BYTES, Examiner, Inline, Judged, SubmittedBody
from dtqs.api.submit.intake import Examined, Intake
from dtqs.config import LimitsSection, load
from dtqs.errors import Invalid
from dtqs.processors.catalog import Catalog
from dtqs.processors.counts import bounds, count_problems
from dtqs.processors.email.processor import EmailProcessor
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.faults import PROBLEMS_LIMIT
from dtqs.processors.sources import places
from dtqs.processors.video.payload import VideoPayload

SOURCE = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


class Counted(list[Any]):
    """A list that counts how often it is iterated."""

    walks = 0

    def __iter__(self) -> Iterator[Any]:
        self.walks += 1
        return super().__iter__()


@pytest.fixture(scope="module")
def intake() -> Intake:
    none: Any = None
    return Intake(Catalog.load(load(Path("conf/dtqs.ini"))), none, lambda uri: None, 5)


def test_all_sources_are_found_in_one_walk() -> None:
    members = Counted([{"source": f"file:/{number}"} for number in range(100)])
    found = places({"a": members}, {f"file:/{number}" for number in range(100)} | {"file:/none"})
    assert members.walks == 1
    assert (found["file:/0"], found["file:/99"], len(found)) == ("payload.a[0].source", "payload.a[99].source", 100)


def test_a_reported_place_is_short_at_every_depth() -> None:
    value: Any = "x"
    for _ in range(200):
        value = {"k" * 100: value}
    assert places(value, {"x"}) == {"x": "payload"}


def test_the_uploads_that_a_submit_may_name_are_limited(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.api.submit.intake.UPLOADS_LIMIT", 5)
    task = {"task_type": "video", "payload": {"source": SOURCE}}
    assert len(intake.examine([task] * 5, [], None).uploads) == 5
    with pytest.raises(Invalid, match="body: names more than"):
        intake.examine([task] * 6, [], None)


def test_a_source_that_occurs_twice_is_reported_at_its_first_place() -> None:
    assert places({"a": ["x", {"b": "y"}], "c": "y"}, {"y"}) == {"y": "payload.a[1].b"}


def test_an_array_of_wrong_tasks_is_given_up_after_some_problems(intake: Intake) -> None:
    payload = {"source": SOURCE, **{f"k{number}": 0 for number in range(60)}}
    found = intake.examine([{"task_type": "video", "payload": payload}] * 1000, [], None)
    assert PROBLEMS_LIMIT < len(found.problems) <= 2 * PROBLEMS_LIMIT


def test_an_array_of_wrong_envelopes_is_given_up_after_some_problems(intake: Intake) -> None:
    with pytest.raises(Invalid) as caught:
        intake.examine([{"task_type": "echo", "payload": {}, "priority": 99}] * 1000, [], None)
    assert PROBLEMS_LIMIT < len(caught.value.problems) <= 2 * PROBLEMS_LIMIT


def test_an_array_that_is_too_long_is_refused_without_a_look_at_its_payloads(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[object] = []
    monkeypatch.setattr(intake, "_check", lambda *arguments: checked.append(arguments))
    with pytest.raises(Invalid, match=f"1 to {ARRAY_LIMIT} tasks") as caught:
        intake.examine([{"task_type": "echo", "payload": {}}] * (ARRAY_LIMIT + 1), [], None)
    assert [problem.field for problem in caught.value.problems] == ["body"]
    assert not checked


def test_a_list_that_is_too_long_is_one_problem(intake: Intake) -> None:
    found = intake.examine({"task_type": "video", "payload": {"source": SOURCE, "outputs": [{}] * 5000}}, [], None)
    assert [problem.field for problem in found.problems] == ["payload.outputs"]
    assert "not 5000" in found.problems[0].message


def test_a_list_inside_a_list_is_counted_too() -> None:
    problems = list(count_problems(bounds(VideoPayload), {"outputs": [{}, {"renditions": [{}] * 5000}]}))
    assert [problem.field for problem in problems] == ["payload.outputs[1].renditions"]


def test_a_value_that_is_no_list_is_left_to_the_model() -> None:
    assert not list(count_problems(bounds(VideoPayload), {"outputs": "text", "source": 1}))
    assert not list(count_problems(bounds(VideoPayload), ["text"]))
    assert not list(count_problems(bounds(VideoPayload), {"outputs": [{"name": ["text"] * 5000}]}))


PAYLOADS: dict[str, tuple[Any, Any]] = {
    "long text": ("a" * (PAYLOAD_CHARACTERS - 20), "a" * PAYLOAD_CHARACTERS),
    "members": ({f"k{number}": 0 for number in range(MEMBERS)}, {f"k{number}": 0 for number in range(MEMBERS + 2)}),
    "objects": ([{}] * (OBJECTS - 1) + ["a" * 100], [{}] * (OBJECTS + 1) + ["a" * 100]),
    "addresses": (["a@b.de"] * MEMBERS, ["a@b.de"] * (MEMBERS + 2)),
    "addresses beyond ASCII": (
        ["a@" + "ü." * 30 + "de"] * ADDRESSES_BEYOND_ASCII,
        ["a@" + "ü." * 30 + "de"] * (ADDRESSES_BEYOND_ASCII + 1),
    ),
}


def asked_elsewhere(intake: Intake, body: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether the examiner process is asked to examine this body; the test does not start it."""
    examiner = Examiner(Inline(intake, SubmitLimits(LimitsSection(), lambda task_type: 1.0)), 1.0)
    asked: list[bytes] = []

    def ask(submitted: SubmittedBody, key_id: str | None, size: int) -> None:
        asked.append(submitted.body)

    monkeypatch.setattr(examiner._aside, "ask", ask)
    try:
        examiner.judge(SubmittedBody(body, "key", False))
    except Invalid:
        assert not asked
    return bool(asked)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("envelope", [{}, {"priority": 99}])
@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_that_takes_long_is_examined_in_the_other_process(
    intake: Intake, name: str, envelope: dict[str, Any], many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_dear, value in enumerate(PAYLOADS[name]):
        task = {"task_type": "echo", "payload": {"a": value} if name == "long text" else value} | envelope
        body = orjson.dumps([task] if many else task)
        assert asked_elsewhere(intake, body, monkeypatch) is bool(is_dear)


def test_a_long_body_and_one_that_needs_the_slow_reader_are_examined_in_the_other_process(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = b'{"task_type": "echo", "payload": {}}'
    assert not asked_elsewhere(intake, task + b" " * (INLINE_BYTES - len(task)), monkeypatch)
    assert asked_elsewhere(intake, task + b" " * INLINE_BYTES, monkeypatch)
    tiny = b'{"task_type": "echo", "payload": {"a": 1e-300}}'
    assert not asked_elsewhere(intake, tiny, monkeypatch)
    assert asked_elsewhere(intake, tiny + b" " * SLOW_BYTES, monkeypatch)


def test_an_array_lets_other_requests_run_between_its_tasks(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr("gevent.sleep", paused.append)
    tasks = [{"task_type": "echo", "payload": {}}] * 20
    intake.examine(tasks, [], None, LoopBound())
    some = len(paused)
    monkeypatch.setattr(bound, "SLICE_SECONDS", 0.0)
    intake.examine(tasks, [], None, LoopBound())
    assert len(paused) == some + len(tasks)


def test_the_examiner_itself_has_no_limit(intake: Intake) -> None:
    with pytest.raises(TooDear):
        intake.examine({"task_type": "echo", "payload": {"a": "a" * PAYLOAD_CHARACTERS}}, [], None, LoopBound())
    assert intake.examine({"task_type": "echo", "payload": {"a": "a" * PAYLOAD_CHARACTERS}}, [], None).tasks


def test_small_bodies_are_examined_in_the_api(intake: Intake) -> None:
    examiner = Examiner(
        Inline(intake, SubmitLimits(LimitsSection(), lambda task_type: 1.0)), 1.0
    )  # the examiner is not started: no other process can answer
    judged = examiner.judge(SubmittedBody(b'[{"task_type": "echo", "payload": {}}]', "key", True))
    assert isinstance(judged, Judged)
    assert isinstance(judged.examined, Examined)
    assert (judged.many, len(judged.body_hash), judged.examined.tasks[0].submitted_by) == (True, 32, "key")


def test_the_uploads_of_a_stored_task_are_found_in_values_that_are_kept_as_text() -> None:
    """A text of 16 KiB that has few characters is examined in the loop."""
    none: Any = None
    catalog = Catalog([EmailProcessor(EmailSettings(sender="a@example.org"))])
    limits = SubmitLimits(LimitsSection(), lambda task_type: 1.0)
    examiner = Examiner(Inline(Intake(catalog, none, lambda uri: None, 5), limits), 1.0)
    payload = {"to": ["b@example.org"], "subject": "x", "text": "é" * 8500, "attachments": [{"source": SOURCE}]}
    stored = orjson.Fragment(orjson.dumps(payload))
    assert list(examiner.needed("email", stored, None)) == [SOURCE.removeprefix("upload:")]
