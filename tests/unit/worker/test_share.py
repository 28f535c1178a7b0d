"""Niceness and CPUs of a pool where the service manager forbids them."""

import logging
import os

import pytest

from dtqs.config import PoolSection
from dtqs.worker.share import forbidden_shares, take_share

POOLS = {"default": PoolSection(), "video": PoolSection(nice=10, cpu_affinity=(0,))}
ADVICE = "SystemCallFilter=setpriority sched_setaffinity"


def refuse(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_try_changes_nothing_and_names_the_pool_and_the_lines_that_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
    assert forbidden_shares(POOLS) == []
    assert (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)) == before
    monkeypatch.setattr(os, "setpriority", refuse)
    (found,) = forbidden_shares(POOLS)
    assert found.startswith(
        "[pool:video] nice has no effect (Operation not permitted): run `systemctl edit dtqs-worker`"
    )
    assert ADVICE in found
    assert forbidden_shares({"default": PoolSection()}) == []


def test_a_worker_without_its_cpus_still_takes_its_niceness(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nice: list[int] = []
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, value: nice.append(value))
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)
    with caplog.at_level(logging.WARNING):
        take_share(POOLS["video"])
    (line,) = [vars(record) for record in caplog.records]
    assert (nice, line["key"], ADVICE in line["advice"]) == ([10], "cpu_affinity", True)
