"""The end of a node: drain, stop, kill, the keeper last; the tasks of a worker that dies meanwhile are taken back."""

import os
import signal
from pathlib import Path

from tests.process.supervised_node import TASK_ID
from tests.support.fix_supervisor import Start, alive


def test_a_term_drains_the_workers_and_then_the_keeper(start_node: Start) -> None:
    node = start_node("steady+steady")
    for child in ("keeper", "default/0", "default/1"):
        node.wait_for("ready", child)
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    lines = (node.folder / "reports").read_text().splitlines()
    assert '"keeper"' in lines[-1]
    assert [len(node.reports("drained", child)) for child in ("keeper", "default/0", "default/1")] == [1, 1, 1]


def test_workers_that_outlast_the_grace_period_are_stopped(start_node: Start) -> None:
    node = start_node("busy", drain_seconds=0.3)
    node.wait_for("ready")
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    assert len(node.reports("drain asked")) == len(node.reports("stopped")) == 1


def test_a_second_term_stops_at_once(start_node: Start) -> None:
    node = start_node("busy", drain_seconds=60.0)
    node.wait_for("ready")
    node.signal(signal.SIGTERM)
    node.wait_for("drain asked")
    assert node.reports("stopped") == []
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    assert len(node.reports("stopped")) == 1


def test_an_interrupt_stops_at_once(start_node: Start) -> None:
    node = start_node("busy", drain_seconds=60.0)
    node.wait_for("ready")
    node.signal(signal.SIGINT)
    assert node.wait_for_end() == os.EX_OK
    assert node.reports("drain asked") == []
    assert len(node.reports("stopped")) == 1


def test_a_worker_that_obeys_nothing_is_killed_and_its_task_given_back_unspent(start_node: Start) -> None:
    node = start_node("stubborn", drain_seconds=0.2, stop_seconds=0.3)
    ready = node.wait_for("ready")
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    [death] = node.reports("settled")[0]["deaths"]
    assert (death["task_id"], death["idle"]) == (None, True)
    assert not alive(ready["pid"])
    assert not alive(ready["grandchild"])
    assert len(node.reports("ready")) == 2, "one replacement, which settles"


def test_a_third_request_kills_remaining_workers(start_node: Start) -> None:
    node = start_node("stubborn", drain_seconds=60.0, stop_seconds=60.0)
    pid = node.wait_for("ready")["pid"]
    for text in ("draining", "stopping", "killing"):
        node.signal(signal.SIGTERM)
        node.wait_for_log(f": {text} ")
    assert node.wait_for_end() == os.EX_OK
    assert not alive(pid)


def test_the_tasks_of_a_worker_that_crashes_in_a_drain_are_settled_before_the_node_ends(start_node: Start) -> None:
    node = start_node("busy", drain_seconds=60.0)
    pid = node.wait_for("ready")["pid"]
    node.signal(signal.SIGTERM)
    node.wait_for("drain asked")
    os.kill(pid, signal.SIGSEGV)
    assert node.wait_for_end() == os.EX_OK
    [death] = node.reports("settled")[1]["deaths"]
    assert (death["cause"], death["task_id"]) == ("signal 11 (SIGSEGV)", TASK_ID)
    assert len(node.reports("settled")) == 2
    keeper_end, last_settled = node.reports("drained", "keeper")[0], node.reports("settled")[1]
    lines = (node.folder / "reports").read_text().splitlines()
    order = [
        line for line in lines if f'"pid": {keeper_end["pid"]},' in line or f'"pid": {last_settled["pid"]},' in line
    ]
    assert '"drained"' in order[-1], "the keeper ends after the worker that settles"


def test_replacements_that_cannot_settle_do_not_hold_up_the_end(start_node: Start) -> None:
    node = start_node("never_settles", drain_seconds=0.3, stop_seconds=0.5)
    node.wait_for("begun")
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    # in turn, five replacements would take five times stop_seconds, and the keeper twice more
    assert "the node did not end within its time" in node.log
    assert len(node.reports("begun")) <= 3


def test_a_dead_worker_is_not_replaced_while_the_node_ends(start_node: Start) -> None:
    node = start_node("steady+busy", drain_seconds=60.0)
    node.wait_for("ready")
    node.wait_for("ready", "default/1")
    node.signal(signal.SIGTERM)
    node.wait_for("drained")
    node.wait_for_log("child ended child=default/0")
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    assert len(node.reports("ready")) == 1


def test_a_node_that_waits_for_a_slow_drain_does_not_spin(start_node: Start) -> None:
    node = start_node("busy+steady", drain_seconds=60.0)
    node.wait_for("ready")
    node.wait_for("ready", "default/1")
    node.signal(signal.SIGTERM)
    node.wait_for("drain asked")
    node.wait_for_log("child ended child=default/1")
    before = cpu_seconds(node.process.pid)
    node.wait_for("long after")
    assert cpu_seconds(node.process.pid) - before < 0.3
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK


def cpu_seconds(pid: int) -> float:
    """Return the processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
