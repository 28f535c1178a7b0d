"""SIGHUP: the supervisor executes the code on disk in its own process, and its children go on or are replaced."""

import os
import signal
import socket
from pathlib import Path

from dtqs.reload_record import DONE, REFUSED, STUCK, ReloadRecord
from tests.process.supervised_node import TASK_ID
from tests.support.fix_supervisor import Node, Start, alive


def record(node: Node) -> ReloadRecord:
    found = ReloadRecord.read(node.folder / "state" / "node-0")
    assert found
    return found


def reload(node: Node, scenario: str, state: str = DONE) -> ReloadRecord:
    """Reload the node with another configuration, and wait for the end of the reload."""
    number = record(node).number
    (node.folder / "next").write_text(scenario)
    node.signal(signal.SIGHUP)
    node.wait_until(lambda: record(node).number > number and record(node).state == state, f"the reload is {state}")
    return record(node)


def start(start_node: Start, scenario: str, **settings: float) -> Node:
    node = start_node(scenario, **settings)
    node.wait_for_log("all children ready")
    return node


def test_a_reload_changes_the_seats_while_a_running_task_goes_on(start_node: Start) -> None:
    node = start(start_node, "busy+steady+steady")
    busy, before = node.wait_for("ready"), node.wait_for("settled", "default/1")
    reload(node, "steady+steady+steady+steady")
    assert node.process.poll() is None
    assert "children=5" in node.log.partition("supervisor goes on")[2].splitlines()[0]
    node.wait_for("ready", count=2)
    node.wait_for("ready", "default/3")
    after = node.wait_for("settled", "default/1", count=2)
    assert (after["boot_id"], after["node_id"], after["parent_alive"]) == (before["boot_id"], before["node_id"], True)
    node.wait_until(lambda: not alive(before["pid"]), "the old worker has left")
    reload(node, "steady")
    node.wait_for("drained", "default/3")
    assert node.wait_for("drained")["pid"] == node.reports("ready")[1]["pid"]
    assert node.wait_for("long after")["pid"] == busy["pid"]
    assert not node.reports("stopped"), "it has an hour"
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    assert node.reports("stopped")[0]["pid"] == busy["pid"], "after drain_seconds"
    lives = [line for line in node.log.splitlines() if "child ended" in line]
    assert all("exit status 0" in line for line in lives), lives


def test_a_reload_keeps_the_size_of_a_pool_that_scales_itself(start_node: Start, tmp_path: Path) -> None:
    (tmp_path / "scales").touch()
    node = start(start_node, "steady")
    node.signal(signal.SIGTTIN)
    grown = node.wait_for("ready", "default/1")["pid"]
    reload(node, "steady")
    node.wait_for("ready", "default/1", count=2)
    node.wait_until(lambda: not alive(grown), "the old worker has left")
    assert not node.reports("ready", "default/2")


def test_a_refused_configuration_changes_nothing_and_is_told(start_node: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        node = start_node("steady", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        node.wait_for_log("all children ready")
        worker = node.wait_for("ready")["pid"]
        refused = reload(node, "refused", REFUSED)
        assert refused.reason == "[pool:default] workers = many: a whole number\nand more"
        node.wait_for_log("not reloaded, configuration and code stay as they are reason=[pool:default]")
        told = ""
        while not told.endswith("; not reloaded: [pool:default] workers = many: a whole number"):
            told = manager.recv(1000).decode()
        assert told.startswith("STATUS=2 of 2 children ready")
        assert alive(worker)
        reload(node, "steady")
        while told != "STATUS=2 of 2 children ready":
            told = manager.recv(1000).decode()
        node.wait_until(lambda: not alive(worker), "the old worker has left")


def test_a_leaving_worker_that_dies_is_settled_at_once_and_its_task_is_named(start_node: Start) -> None:
    node = start(start_node, "busy+steady")
    busy = node.wait_for("ready")["pid"]
    reload(node, "steady+steady")
    os.kill(busy, signal.SIGKILL)
    node.wait_until(lambda: any(one["deaths"] for one in node.reports("settled")), "its death is settled")
    (settled,) = [one for one in node.reports("settled") if one["deaths"]]
    assert [(death["task_id"], death["cause"]) for death in settled["deaths"]] == [(TASK_ID, "signal 9 (SIGKILL)")]
    node.wait_until(lambda: settled["pid"] in [one["pid"] for one in node.reports("drained")], "the settler has ended")
    assert record(node).state == DONE


def test_a_worker_that_dies_while_the_program_is_replaced_is_settled(start_node: Start) -> None:
    node = start(start_node, "stubborn+steady")
    worker, keeper = node.wait_for("ready")["pid"], node.wait_for("ready", "keeper")["pid"]
    (node.folder / "next").write_text("stubborn+steady")
    node.signal(signal.SIGHUP)
    node.wait_for_log("executing the code on disk")
    os.kill(worker, signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    assert node.wait_for("settled")["deaths"][0]["task_id"] == TASK_ID
    node.wait_until(lambda: record(node).state == DONE, "the reload is done")


def test_a_process_that_the_new_program_starts_at_its_imports_lives_and_orphans_do_not(start_node: Start) -> None:
    node = start(start_node, "parent_of_many+steady")
    far = node.wait_for("family")["far"]
    helper = node.folder / "helper"
    helper.touch()
    os.kill(node.wait_for("ready")["pid"], signal.SIGSTOP)
    reload(node, "steady+steady")
    os.kill(node.reports("ready")[0]["pid"], signal.SIGKILL)
    node.wait_until(lambda: not alive(far), "the orphan of a child of the old program has ended")
    pid = int(helper.read_text())
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_new_children_that_do_not_start_leave_the_old_ones_at_work(start_node: Start) -> None:
    node = start(start_node, "steady+steady")
    old = [node.wait_for("ready", name)["pid"] for name in ("default/0", "default/1")]
    stuck = reload(node, "explains+steady", STUCK)
    assert stuck.reason == "default/0 ended 3 times in a row before it was ready: the moon is in the wrong house"
    assert all(map(alive, old))
    reload(node, "steady+steady")
    node.wait_until(lambda: not any(map(alive, old)), "the old ones have left")


def test_a_program_that_cannot_take_over_ends_its_children_in_order(start_node: Start) -> None:
    node = start(start_node, "steady+steady")
    (node.folder / "next").write_text("lost")
    node.signal(signal.SIGHUP)
    assert node.wait_for_end() == os.EX_TEMPFAIL
    assert node.reports("drained")
    assert node.log.splitlines()[-1].endswith("stopped status=75 reason=the processors are gone")


def test_a_node_that_ends_during_the_check_does_not_wait_for_it(start_node: Start) -> None:
    node = start(start_node, "steady")
    node.signal(signal.SIGHUP)
    node.wait_for_log("checking configuration and code")
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == os.EX_OK
    assert record(node).state == REFUSED
