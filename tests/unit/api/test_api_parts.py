"""The small pure parts of the API: ids, tickets, file names, the start of a task's events, times."""

import time
from types import SimpleNamespace

import falcon
import pytest

from dtqs.api.access import ticket_keys
from dtqs.api.access.signing import Signer
from dtqs.api.access.tickets import _EARLIER_TICKET, EARLIER_KEY, Tickets
from dtqs.api.http.names import disposition, name_of, safe_name
from dtqs.api.stream.opening import history_start
from dtqs.api.submit.envelope import parse
from dtqs.api.submit.task_links import Links
from dtqs.errors import Invalid
from dtqs.id_run import is_among, new_ids, next_id
from dtqs.store.api_keys import REMEMBERED_SECONDS, ApiKey
from dtqs.store.reads import TaskLogRow
from dtqs.task import Status
from dtqs.uuid7 import is_uuid, uuid7

KEY = b"k" * 32


def first_bytes(task_id: str) -> bytes:
    return bytes.fromhex(task_id.replace("-", ""))


def test_ids_of_one_submit_are_consecutive_and_remain_uuids_of_version_7() -> None:
    for _ in range(50):
        ids = new_ids(1000)
        assert ids == sorted(set(ids))
        assert all(is_uuid(one) and one[14] == "7" and one[19] in "89ab" for one in ids)
        assert [next_id(one) for one in ids[:-1]] == ids[1:]
        assert all(is_among(one, first_bytes(ids[0]), 1000) for one in ids)
        assert not is_among(next_id(ids[-1]), first_bytes(ids[0]), 1000)


def test_a_ticket_is_valid_for_its_ids_and_its_time_only() -> None:
    tickets, ids, key_id = Tickets(KEY, 60), new_ids(3), uuid7()
    ticket = tickets.sign(key_id, ids[0], 3)
    assert [each for each in [*ids, uuid7()] if tickets.open(ticket).covers(each)] == ids
    assert tickets.open(ticket).key_id == key_id
    with pytest.raises(falcon.HTTPUnauthorized):
        Tickets(b"other", 60).open(ticket)
    late = Tickets(KEY, -(time.time() - int(time.time())) - 1).sign(key_id, ids[0], 3)
    with pytest.raises(falcon.HTTPUnauthorized):
        tickets.open(late)


def test_a_ticket_of_an_earlier_version_is_valid_and_names_no_key() -> None:
    ids = new_ids(3)
    ticket, _ = Signer(KEY, _EARLIER_TICKET, 60).sign(first_bytes(ids[0]), 2)
    opened = Tickets(KEY, 60).open(ticket)
    assert [each for each in ids if opened.covers(each)] == ids[:2]
    assert opened.key_id == EARLIER_KEY
    late, _ = Signer(KEY, _EARLIER_TICKET, -60).sign(first_bytes(ids[0]), 2)
    with pytest.raises(falcon.HTTPUnauthorized):
        Tickets(KEY, 60).open(late)


def test_a_ticket_ends_with_its_key_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, key_id, ids = [0.0], uuid7(), new_ids(1)
    keys, asked = {key_id: ApiKey(key_id, "x", ("submit",))}, list[str]()

    def find(asked_id: str) -> ApiKey | None:
        asked.append(asked_id)
        return keys.get(asked_id)

    monkeypatch.setattr(ticket_keys, "time", SimpleNamespace(monotonic=lambda: now[0]))
    tickets = Tickets(KEY, 60, ticket_keys.TicketKeys(find).is_revoked)
    ticket = tickets.sign(key_id, ids[0])
    assert tickets.open(ticket).key_id == key_id
    keys.clear()
    now[0] = REMEMBERED_SECONDS - 0.1
    assert tickets.open(ticket)
    now[0] = REMEMBERED_SECONDS + 0.1
    for _ in range(2):
        with pytest.raises(falcon.HTTPUnauthorized) as refused:
            tickets.open(ticket)
    assert "its API key was revoked" in str(refused.value.description)
    assert asked == [key_id] * 2
    with pytest.raises(falcon.HTTPUnauthorized):
        tickets.open(Tickets(b"guessed", 60).sign(uuid7(), ids[0]))
    assert tickets.open(Signer(KEY, _EARLIER_TICKET, 60).sign(first_bytes(ids[0]), 2)[0]).key_id == EARLIER_KEY
    assert len(asked) == 2, "only a genuine ticket that names a key needs a look-up"


def test_every_changed_character_of_a_ticket_is_detected() -> None:
    tickets, ids = Tickets(KEY, 60), new_ids(1)
    ticket = tickets.sign(uuid7(), ids[0])
    for at, character in enumerate(ticket):
        changed = ticket[:at] + ("A" if character != "A" else "B") + ticket[at + 1 :]
        with pytest.raises(falcon.HTTPUnauthorized):
            tickets.open(changed)


def test_ids_that_are_not_consecutive_get_a_ticket_each() -> None:
    tickets, ids = Tickets(KEY, 60), [uuid7(), uuid7()]
    for answer, task_id in zip(Links("https://example.org/", tickets).accepted(ids, uuid7()), ids, strict=True):
        links = answer["links"]
        assert isinstance(links, dict)
        assert links["self"] == f"https://example.org/tasks/{task_id}"
        ticket = tickets.open(links["sse"].partition("ticket=")[2])
        assert [each for each in ids if ticket.covers(each)] == [task_id]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.png"', "a b.png"),
        ("attachment; filename=a.png; size=1", "a.png"),
        ("attachment; filename=\"x\"; filename*=UTF-8''%E2%82%AC.png", "\u20ac.png"),
        (r'inline; filename="a\"b"', 'a"b'),
        ('form-data; filename="\u20ac \u732b.png"'.encode().decode("latin-1"), "\u20ac \u732b.png"),
        (b"inline; filename=caf\xe9.png".decode("latin-1"), "caf\xe9.png"),
        ("inline", None),
        (None, None),
    ],
)
def test_a_file_name_is_read_from_its_header(header: str | None, name: str | None) -> None:
    assert name_of(header) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("c:\\x\\y.png", "y.png"),
        ("", "file"),
        ("...", "file"),
        ("a\0\r\nb\u202e\ud800", "ab"),
        ("/\u0645\u06cc\u200c\u0631\u0648\u0645.jpg", "\u0645\u06cc\u200c\u0631\u0648\u0645.jpg"),
        ("x" * 999, "x" * 200),
    ],
)
def test_a_file_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_file_that_a_browser_would_run_is_an_attachment() -> None:
    assert disposition("a.png", "image/png").startswith("inline")
    for media_type in ("text/html", "image/svg+xml", "application/pdf", "application/xml", "application/octet-stream"):
        assert disposition("a", media_type).startswith("attachment")
    assert (
        disposition('\u20ac"\\;%.png', "image/png")
        == "inline; filename=\"_____.png\"; filename*=UTF-8''%E2%82%AC%22%5C%3B%25.png"
    )


def row(log_id: int, event: str) -> TaskLogRow:
    return TaskLogRow(log_id, "t", event, 1, "info", None, None, "")


@pytest.mark.parametrize(
    ("status", "events", "start"),
    [
        (Status.PENDING, [], 0),
        (Status.PENDING, ["in_progress", "pending"], 2),
        (Status.PENDING, ["in_progress", "pending", "in_progress"], 2),
        (Status.IN_PROGRESS, ["in_progress", "progress", "pending", "in_progress", "progress"], 4),
        (Status.IN_PROGRESS, ["pending"], 1),
        (Status.COMPLETED, ["in_progress", "progress", "completed"], 1),
        (Status.COMPLETED, ["completed"], 0),
        (Status.CANCELLED, ["in_progress", "pending", "cancelled"], 1),
    ],
)
def test_events_are_replayed_from_the_start_of_the_current_status(
    status: Status, events: list[str], start: int
) -> None:
    assert history_start(status, [row(index, event) for index, event in enumerate(events, 1)]) == start


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.123456789z", "2026-01-31 12:00:00+05:30"]
)
def test_a_time_with_its_offset_is_accepted(text: str) -> None:
    (body,) = parse({"task_type": "echo", "payload": {}, "due_at": text})
    assert body.due_at
    assert body.due_at.endswith("+00:00")


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-W05-6T12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T24:30:00Z",
        "2999-01-01T00:00:00Z",
        "",
    ],
)
def test_any_other_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse({"task_type": "echo", "payload": {}, "due_at": text})
    assert [problem.field for problem in refused.value.problems] == ["due_at"]
