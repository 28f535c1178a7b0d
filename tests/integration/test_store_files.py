"""Rows of files: a named upload must exist, belong to the caller, and stay until its task's retention is over."""

import base64
import random
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from dtqs.api.submit.intake import Intake
from dtqs.errors import Invalid, Problem
from dtqs.processors.catalog import Catalog
from dtqs.processors.faults import PROBLEMS_LIMIT
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.settings import VideoSettings
from dtqs.settlement import Kind
from dtqs.store.file_rows import Named
from dtqs.task import OutputFile
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World

DAY = 86400.0
OWNER = uuid7()


def upload(world: World, age_days: float = 0, owner: str | None = None) -> str:
    file = OutputFile(uuid7(), "x", "text/plain", 1, "ab")
    world.store.files.insert(file, owner)
    world.rows(
        "UPDATE files SET kept_from = kept_from - %s * interval '1 day' WHERE id = %s RETURNING 1",
        age_days,
        file.file_id,
    )
    return file.file_id


def expired(world: World, in_days: float) -> set[str]:
    """Return the files that a keeper would delete this many days from now, with a retention of 7 days."""
    return set(world.store.housekeeping.expire_files(7 - in_days, 100))


def test_a_task_may_open_only_files_of_its_own_key(world: World) -> None:
    admin = world.store.api_keys.create("admin", ("admin",))[0]
    files = {owner: upload(world, owner=owner) for owner in (OWNER, admin, None)}
    mine, everybodys, admins = (world.submit(submitted_by=owner)[0] for owner in (OWNER, None, admin))
    may = {
        task: {owner for owner, file_id in files.items() if world.store.files.may_open(task, file_id)}
        for task in (mine, everybodys, admins)
    }
    assert may == {mine: {OWNER}, everybodys: set(files), admins: set(files)}
    assert not world.store.files.may_open(mine, uuid7())
    assert not world.store.files.may_open(uuid7(), files[OWNER])


def test_an_upload_stays_until_the_last_task_that_names_it_is_due_and_its_retention_is_over(world: World) -> None:
    named, other = upload(world, 6.9), upload(world, 6.9)
    in_ten_days = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    calls = [Named(named, None, 3 * DAY), Named(named, in_ten_days, 0), Named(named, None, 0)]
    assert set(world.store.files.name(calls)) == {named}
    assert expired(world, 1) == {other}
    assert expired(world, 6.9) == set()
    world.rows("UPDATE files SET kept_from = kept_from - interval '16 days 23 hours' RETURNING 1")
    assert expired(world, 0) == set()
    world.rows("UPDATE files SET kept_from = kept_from - interval '2 hours' RETURNING 1")
    assert expired(world, 0) == {named}


def test_a_task_that_is_due_now_restarts_the_retention(world: World) -> None:
    named = upload(world, 6.9)
    assert set(world.store.files.name([Named(named, None, 0)])) == {named}
    assert expired(world, 6.9) == set()


def test_a_task_that_is_due_sooner_changes_nothing(world: World) -> None:
    named = upload(world)
    world.store.files.name([Named(named, None, 10 * DAY)])
    before = world.value("SELECT kept_from FROM files")
    assert set(world.store.files.name([Named(named, None, DAY), Named(named, "2020-01-01T00:00:00Z", 0)])) == {named}
    assert world.value("SELECT kept_from FROM files") == before


def test_a_fresh_upload_that_is_named_at_once_is_not_written_again(world: World) -> None:
    named = upload(world)
    before = world.value("SELECT xmin::text || ctid::text || xmax::text FROM files")
    assert set(world.store.files.name([Named(named, None, 0)])) == {named}
    assert world.value("SELECT xmin::text || ctid::text || xmax::text FROM files") == before


@pytest.mark.parametrize("age_days", [0, 6.9])
def test_a_missing_or_foreign_file_is_not_named(world: World, age_days: float) -> None:
    mine, theirs = upload(world, age_days, OWNER), upload(world, age_days, uuid7())
    before = world.value("SELECT kept_from FROM files WHERE id = %s", theirs)
    assert set(world.store.files.name([Named(each, None, 0) for each in (mine, theirs, uuid7())], OWNER)) == {mine}
    assert world.value("SELECT kept_from FROM files WHERE id = %s", theirs) == before


def test_a_file_deleted_meanwhile_by_a_keeper_is_missing(world: World) -> None:
    named = upload(world, 8)
    with world.held_open() as keeper:
        assert keeper.housekeeping.expire_files(7, 10) == [named]
        naming = world.meet(lambda store: store.files.name([Named(named, None, 0)])).waits()
        keeper.commit()
        assert naming.result() == {}


def test_a_file_named_meanwhile_is_not_deleted(world: World) -> None:
    named = upload(world, 8)
    with world.held_open() as api:
        assert set(api.files.name([Named(named, None, 0)])) == {named}
        assert world.store.housekeeping.expire_files(7, 10) == []
        api.commit()
    assert world.store.housekeeping.expire_files(7, 10) == []


def test_two_callers_that_name_a_file_at_once_both_find_it_and_the_later_time_wins(world: World) -> None:
    named = upload(world, 5)
    with world.held_open() as first:
        assert set(first.files.name([Named(named, None, 20 * DAY)])) == {named}
        second = world.meet(lambda store: store.files.name([Named(named, None, DAY)])).waits()
        first.commit()
        assert set(second.result()) == {named}
    assert world.value("SELECT kept_from > now() + interval '19 days' FROM files") is True


# --- a person's retry


def failed(world: World, *named: str) -> str:
    """Return a failed task whose payload names these files at several places."""
    first, *others = [f"upload:{each}" for each in named]
    (task,) = world.submit(
        payload=orjson.dumps({"source": first, "others": [{"source": other} for other in others]}).decode(),
        submitted_by=OWNER,
    )
    world.run([task], Kind.FAILED)
    return task


def test_a_persons_retry_keeps_every_upload_that_its_payload_names(world: World) -> None:
    first, second, other = (upload(world, 6.9, OWNER) for _ in range(3))
    task = failed(world, first, second.upper())
    assert world.store.tasks.retry(task, uuid7(), OWNER).fresh
    assert expired(world, 6.9) == {other}


def test_a_retry_keeps_no_file_of_others_but_an_admins_does(world: World) -> None:
    theirs = upload(world, 6.9, uuid7())
    tasks = [failed(world, theirs) for _ in range(2)]
    before = world.value("SELECT kept_from FROM files")
    world.store.tasks.retry(tasks[0], uuid7(), OWNER)
    assert world.value("SELECT kept_from FROM files") == before
    world.store.tasks.retry(tasks[1], uuid7())
    assert world.value("SELECT kept_from FROM files") > before


def test_a_retry_whose_upload_is_gone_is_refused_and_submits_nothing(world: World) -> None:
    there, gone = upload(world, 6.9, OWNER), uuid7()
    task = failed(world, there, gone)
    needed = {each: Problem(f"payload.{each}", "gone") for each in (there, gone)}
    with pytest.raises(Invalid) as refused:
        world.store.tasks.retry(task, uuid7(), OWNER, needed)
    assert refused.value.problems == (needed[gone],)
    assert world.value("SELECT count(*) FROM tasks") == 1
    assert world.store.tasks.retry(task, uuid7(), OWNER, {there: needed[there]}).fresh
    assert not world.store.tasks.retry(task, uuid7(), OWNER, needed).fresh, "a second call returns the existing retry"


def test_a_refused_retry_writes_no_payload(world: World) -> None:
    """A payload of megabytes that is rolled back stays in the table until a vacuum, and in the WAL."""
    gone, noise = uuid7(), base64.b64encode(random.Random(7).randbytes(1 << 20)).decode()
    (task,) = world.submit(payload=orjson.dumps([f"upload:{gone}", noise]).decode(), submitted_by=OWNER)
    world.run([task], Kind.FAILED)
    before = world.value("SELECT pg_table_size('tasks')")
    for _ in range(3):
        with pytest.raises(Invalid):
            world.store.tasks.retry(task, uuid7(), OWNER, {gone: Problem("payload[0]", "gone")})
    assert world.value("SELECT pg_table_size('tasks')") - before < 1 << 20


def test_a_retry_keeps_files_named_by_a_preset_and_is_refused_without_them(world: World) -> None:
    film, mark, other = (upload(world, 6.9, OWNER) for _ in range(3))
    presets = orjson.dumps({"branded": {"format": "mp4", "watermark": {"source": f"upload:{mark}"}}}).decode()
    intake = Intake(Catalog([VideoProcessor(VideoSettings(presets=presets))]), world.store.files, lambda uri: None, 5)
    payload = {"source": f"upload:{film}", "outputs": [{"name": "a", "preset": "branded"}]}
    tasks = world.submit(2, payload=orjson.dumps(payload).decode(), task_type="video", submitted_by=OWNER)
    world.run(tasks, Kind.FAILED)
    assert world.store.tasks.retry(tasks[0], uuid7(), OWNER, intake.needed("video", payload)).fresh
    assert expired(world, 6.9) == {other}
    world.rows("DELETE FROM files WHERE id = %s RETURNING 1", mark)
    with pytest.raises(Invalid, match=f"upload:{mark}"):
        world.store.tasks.retry(tasks[1], uuid7(), OWNER, intake.needed("video", payload))


def test_a_retry_keeps_no_needed_file_of_others(world: World) -> None:
    theirs = upload(world, 6.9, uuid7())
    task = failed(world, upload(world, 0, OWNER))
    with pytest.raises(Invalid, match="gone"):
        world.store.tasks.retry(task, uuid7(), OWNER, {theirs: Problem("payload", "gone")})


def test_a_file_that_a_keeper_deletes_while_its_task_is_retried_is_gone(world: World) -> None:
    named = upload(world, 8, OWNER)
    task = failed(world, named)
    with world.held_open() as keeper:
        assert keeper.housekeeping.expire_files(7, 10) == [named]
        retry = world.meet(
            lambda store: store.tasks.retry(task, uuid7(), OWNER, {named: Problem("payload.source", "gone")})
        ).waits()
        keeper.commit()
        with pytest.raises(Invalid):
            retry.result()
    assert world.value("SELECT count(*) FROM tasks") == 1


def test_missing_uploads_are_named_up_to_a_limit(world: World) -> None:
    intake = Intake(Catalog([VideoProcessor(VideoSettings())]), world.store.files, lambda uri: None, 5)
    examined = intake.examine(
        [{"task_type": "video", "payload": {"source": f"upload:{uuid7()}"}} for _ in range(1000)], [], None
    )
    examined.uploads *= 2
    with pytest.raises(Invalid) as refused:
        intake.complete(examined, OWNER)
    assert len(refused.value.problems) == PROBLEMS_LIMIT + 1
