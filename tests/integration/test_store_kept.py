"""A worker's connections: the main thread keeps its own beside other threads; a broken one is replaced."""

import threading
from collections.abc import Iterator

import pytest

from dtqs.errors import StoreUnavailable
from dtqs.store import Store
from dtqs.store.driver import kept
from dtqs.store.driver.connection import ADAPTERS
from dtqs.store.driver.kept import KeptDatabase
from tests.support.fix_store import World
from tests.support.helpers import eventually


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    store = Store(world.section, world.lease, 2, "kept", KeptDatabase)
    store.start()
    yield store
    store.stop()


def backend(store: Store) -> int:
    with store.database._connection() as connection:
        return connection.info.backend_pid


def in_a_thread(store: Store, count: int) -> set[int]:
    pids: set[int] = set()
    threads = [threading.Thread(target=lambda: pids.add(backend(store))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return pids


def test_the_opening_thread_keeps_its_connection(store: Store) -> None:
    own = backend(store)
    others = in_a_thread(store, 4)
    assert others
    assert own not in others
    assert {backend(store) for _ in range(5)} == {own}


def test_a_connection_borrowed_twice_at_once_is_another_one(store: Store) -> None:
    with store.database._connection() as outer:
        assert backend(store) != outer.info.backend_pid


@pytest.mark.session
def test_a_broken_connection_is_replaced(store: Store, world: World) -> None:
    own = backend(store)
    world.rows(f"SELECT pg_terminate_backend({own})::text")
    with pytest.raises(StoreUnavailable), store.database._connection() as connection:
        connection.execute("SELECT 1")
    assert store.reads.tasks([]) == []
    assert backend(store) != own


def test_a_connection_unused_for_long_is_taken_from_the_pool(
    store: Store, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protect the next claim: after a restart of the server the heartbeats have met the error already."""
    own, beats = backend(store), in_a_thread(store, 4)
    monkeypatch.setattr(kept, "_FRESH_SECONDS", 0.0)
    for pid in {own, *beats}:
        world.rows(f"SELECT pg_terminate_backend({pid})::text")
    eventually(lambda: in_a_thread(store, 1), 10, "a heartbeat gets through")
    store.reads.tasks([])


def test_a_stopped_database_leaves_no_connection(world: World) -> None:
    store = Store(world.section, world.lease, 2, "kept and stopped", KeptDatabase)
    store.start()
    pid = backend(store)
    store.stop()
    eventually(lambda: not world.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"), 5, "its backend ends")
    with pytest.raises(StoreUnavailable):
        store.reads.tasks([])


def test_connections_share_their_conversions(store: Store) -> None:
    """A map of its own would touch each of 400 classes, and so copy their pages in each process."""
    with store.database._connection() as connection:
        for mine, shared in zip(connection.adapters._loaders, ADAPTERS._loaders, strict=True):
            assert mine is shared
