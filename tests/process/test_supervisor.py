"""A running node: children start clean, are watched, and learn how the child that they replace died."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

from tests.process.supervised_node import TASK_ID
from tests.support.fix_supervisor import Start, alive


def title_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0 ").decode()


def test_the_replacement_of_a_killed_worker_learns_the_cause_of_death(start_node: Start) -> None:
    node = start_node("steady")
    first = node.wait_for("ready")["pid"]
    os.kill(first, signal.SIGKILL)
    second = node.wait_for("settled", count=2)
    [death] = second["deaths"]
    assert (death["cause"], death["task_id"], death["idle"]) == ("signal 9 (SIGKILL)", None, True)
    assert second["pid"] != first


def test_settled_deaths_are_not_passed_on_again(start_node: Start) -> None:
    node = start_node("steady")
    os.kill(node.wait_for("ready")["pid"], signal.SIGKILL)
    os.kill(node.wait_for("ready", count=2)["pid"], signal.SIGKILL)
    assert len(node.wait_for("settled", count=3)["deaths"]) == 1


def test_deaths_pass_to_the_next_replacement_until_one_settles_them(start_node: Start) -> None:
    node = start_node("dies_at_once", young_seconds=10.0)
    assert node.wait_for("begun", count=4)["deaths"] == 3


def test_a_death_at_a_time_limit_names_its_task_and_cause(start_node: Start) -> None:
    node = start_node("overdue")
    [death] = node.wait_for("settled")["deaths"]
    assert (death["cause"], death["task_id"], death["idle"]) == ("time limit", TASK_ID, False)


def test_a_time_limit_kills_the_whole_process_group(start_node: Start) -> None:
    node = start_node("overdue")
    grandchild = node.wait_for("ready")["grandchild"]
    node.wait_until(lambda: not alive(grandchild), "the grandchild is gone")


def test_a_silent_child_is_killed_and_its_stacks_are_kept(start_node: Start) -> None:
    node = start_node("silent", beat_timeout_seconds=0.3)
    [death] = node.wait_for("settled")["deaths"]
    assert death["cause"] == "no sign of life for 0.3 s"
    (line,) = [line for line in node.log.splitlines() if "killing child" in line]
    assert "threads=" in line, "the state of its threads"
    (stacks,) = (node.folder / "state" / "node-0").glob("stacks-default-0-of-*")
    assert "in silent" in stacks.read_text(), "the place where it hung"


def test_a_child_that_does_not_become_ready_is_killed_and_leaves_no_death(start_node: Start) -> None:
    node = start_node("never_ready", boot_timeout_seconds=0.3)
    node.wait_for("begun", count=2)
    assert "cause=not ready within 0.3 s" in node.log
    assert "deaths=1" not in node.log


def test_a_frozen_child_is_killed_and_replaced(start_node: Start) -> None:
    node = start_node("steady", beat_timeout_seconds=0.5)
    os.kill(node.wait_for("ready")["pid"], signal.SIGSTOP)
    assert node.wait_for("settled", count=2)["deaths"][0]["cause"] == "no sign of life for 0.5 s"


def test_a_node_that_was_frozen_as_a_whole_does_not_kill_its_children(start_node: Start) -> None:
    node = start_node("steady", beat_timeout_seconds=1.0)
    worker = node.wait_for("ready")["pid"]
    frozen = (node.process.pid, worker, node.wait_for("ready", "keeper")["pid"])
    node.wait_for_log("all children ready")
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    thaw_at = time.monotonic() + 2.5
    node.wait_until(lambda: time.monotonic() > thaw_at, "the time is longer than the limit on beats")
    node.signal(signal.SIGTERM)
    node.signal(signal.SIGCONT)
    # its first turn, in which all beats are old, comes before the children can beat again
    node.wait_for_log(": draining ")
    for pid in frozen[1:]:
        os.kill(pid, signal.SIGCONT)
    assert node.wait_for_end() == os.EX_OK
    assert node.reports("drained")[0]["pid"] == worker


def test_a_task_that_exits_with_status_0_counts_as_a_death(start_node: Start) -> None:
    node = start_node("exits_in_task")
    [death] = node.wait_for("settled")["deaths"]
    assert (death["cause"], death["task_id"]) == ("exit status 0", TASK_ID)


def test_an_exception_of_a_child_is_logged_and_ends_it_with_status_70(start_node: Start) -> None:
    node = start_node("raises")
    node.wait_for("begun", count=2)
    node.wait_for_log("cause=exit status 70")
    assert "ZeroDivisionError: from a child" in node.log


def test_a_child_that_dies_young_is_restarted_later_and_later(start_node: Start) -> None:
    node = start_node("dies_at_once", restart_base_seconds=0.1)
    node.wait_for("begun", count=5)
    at = [entry["at"] for entry in node.reports("begun")]
    assert at[2] - at[1] >= 0.1
    assert at[3] - at[2] >= 0.2
    assert at[4] - at[3] >= 0.4


def test_workers_that_tasks_kill_settle_at_once_and_wait_longer_each_time_until_a_task_finishes(
    start_node: Start,
) -> None:
    node = start_node("dies_of_tasks", restart_max_seconds=0.7)
    node.wait_for("waits", count=5)
    waits = [report["wait_seconds"] for report in node.reports("waits")]
    assert (waits[:3], 0.25 <= waits[3] <= 0.3125, 0.5 <= waits[4] <= 0.625) == ([0, 0, 0], True, True)
    assert [report["deaths"] for report in node.reports("settled")][:5] == [0, 1, 1, 1, 1]
    node.wait_for_log("slot slowed down: tasks kill its workers before they finish any")
    assert "child=default/0 deaths=3 cause=signal 9 (SIGKILL) wait_seconds=0." in node.log
    (node.folder / "healed").touch()
    node.wait_for("worked")
    before = len(node.reports("waits"))
    assert node.wait_for("waits", count=before + 1)["wait_seconds"] == 0


def test_no_grandchild_outlives_its_worker_not_even_in_a_session_of_its_own(start_node: Start) -> None:
    node = start_node("parent_of_many+steady")
    family = node.wait_for("family")
    node.wait_for("ready", "default/1")
    os.kill(family["pid"], signal.SIGKILL)
    node.wait_until(lambda: not alive(family["near"]) and not alive(family["far"]), "both grandchildren are gone")
    assert all(alive(node.reports("ready", child)[0]["pid"]) for child in ("keeper", "default/1"))


def test_children_of_a_killed_supervisor_die_with_it(start_node: Start) -> None:
    node = start_node("stubborn+steady")
    children = [node.wait_for("ready", child)["pid"] for child in ("keeper", "default/0", "default/1")]
    node.signal(signal.SIGKILL)
    node.wait_for_end()
    node.wait_until(lambda: not any(map(alive, children)), "all children are gone")
    # the product guarantees no more: a worker's own processes must ask for this signal themselves
    os.kill(node.reports("ready")[0]["grandchild"], signal.SIGKILL)


def test_a_child_inherits_no_signal_state_files_or_random_state(start_node: Start, tmp_path: Path) -> None:
    node = start_node("looks_around+looks_around", environment={"NOTIFY_SOCKET": str(tmp_path / "absent")})
    seen, other = node.wait_for("seen"), node.wait_for("seen", "default/1")
    ignored = {name for name, handler in seen["handlers"].items() if handler == str(int(signal.SIG_IGN))}
    assert ignored == {"SIGUSR1"}, "one meant for the supervisor ends no child"
    assert {handler for name, handler in seen["handlers"].items() if name not in ignored} == {"0"}, "all default"
    assert (seen["blocked"], seen["wakeup"], seen["leads"], seen["notify"]) == (0, -1, True, False)
    assert seen["files"].pop("0") == "/dev/null"
    inherited = [name for name in seen["files"].values() if "pipe:" in name or "state" in name or "socket:" in name]
    assert {Path(name).name.partition("-")[0] for name in inherited} == {"marks", "stacks"}, "no lock of the node"
    assert seen["random"] != other["random"]


def test_process_titles_name_supervisor_keeper_and_workers(start_node: Start) -> None:
    node = start_node("steady")
    worker, keeper = node.wait_for("ready")["pid"], node.wait_for("ready", "keeper")["pid"]
    assert [title_of(pid) for pid in (node.process.pid, keeper, worker)] == [
        "dtqs: supervisor",
        "dtqs: keeper",
        "dtqs: worker default/0",
    ]


def test_a_hangup_replaces_all_children_one_at_a_time(start_node: Start) -> None:
    node = start_node("steady+steady")
    names = ("keeper", "default/0", "default/1")
    before = {name: node.wait_for("ready", name)["pid"] for name in names}
    node.wait_for_log("all children ready")
    node.signal(signal.SIGHUP)
    node.wait_for_log("rolling restart done")
    for name in names:
        assert node.wait_for("ready", name, count=2)["pid"] != before[name]
        node.wait_for("drained", name)
    lines = map(json.loads, (node.folder / "reports").read_text().splitlines())
    order = [(line["child"], line["event"]) for line in lines if line["event"] != "settled"][3:]
    assert [one for one in order if one[1] == "ready"] == [(name, "ready") for name in names]
    assert all(order.index((name, "ready")) < order.index((name, "drained")) for name in names), order


def test_the_service_manager_is_told_when_all_are_ready_and_when_the_node_stops(
    start_node: Start, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        node = start_node("steady", environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
        received = [manager.recv(1000).decode()]
        while (
            "WATCHDOG=1" not in received or "READY=1" not in received or "STATUS=2 of 2 children ready" not in received
        ):
            received.append(manager.recv(1000).decode())
        assert received.index("READY=1") > received.index("STATUS=0 of 2 children ready")
        node.signal(signal.SIGTERM)
        while "STOPPING=1" not in received or "EXTEND_TIMEOUT_USEC=10000000" not in received:
            received.append(manager.recv(1000).decode())
        assert node.wait_for_end() == os.EX_OK


def test_a_refused_configuration_at_boot_ends_the_node(start_node: Start) -> None:
    node = start_node("misconfigured+steady")
    assert node.wait_for_end() == os.EX_CONFIG


def test_a_state_folder_that_cannot_be_made_ends_the_node_with_its_name(start_node: Start, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    node = start_node("steady")
    assert node.wait_for_end() == os.EX_CONFIG
    assert "state_dir" in node.log
    assert node.reports("ready") == []


def test_two_supervisors_on_one_state_folder_are_two_nodes(start_node: Start) -> None:
    first = start_node("steady")
    node_id = first.wait_for("settled")["node_id"]
    second = start_node("steady")
    assert second.wait_for("settled", count=2)["node_id"] != node_id
    second.signal(signal.SIGKILL)
    second.wait_for_end()
    third = start_node("steady")
    ids = {third.wait_for("settled", count=count)["node_id"] for count in (1, 2, 3)}
    assert len(ids) == 2, "the third takes up the dead supervisor's identity"


def test_stray_signals_do_not_end_the_node(start_node: Start) -> None:
    node = start_node("steady")
    pid = node.wait_for("ready")["pid"]
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        node.signal(number)
    os.kill(pid, signal.SIGKILL)
    node.wait_for("ready", count=2)
    assert node.process.poll() is None


def test_a_log_reader_that_hangs_does_not_stop_the_node(start_node: Start) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    node = start_node("steady", output=writer)
    os.close(writer)
    first = node.wait_for("ready")["pid"]
    os.kill(first, signal.SIGKILL)
    assert node.wait_for("ready", count=2)["pid"] != first
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == 0
    os.close(reader)


def test_a_node_whose_children_never_become_ready_ends_and_logs_the_reason_last(start_node: Start) -> None:
    node = start_node("steady+explains", restart_limit=4)
    assert node.wait_for_end() == os.EX_TEMPFAIL
    last = node.log.splitlines()[-1]
    assert (
        "stopped status=75 reason=default/1 ended 4 times in a row, before it was ready: the moon is in the wrong house"
        in last
    )


def test_the_reason_names_an_exception_before_a_child_was_ready(start_node: Start) -> None:
    node = start_node("raises", restart_limit=3)
    assert node.wait_for_end() == os.EX_UNAVAILABLE
    assert "before it was ready: ZeroDivisionError: from a child" in node.log.splitlines()[-1]


def test_a_node_that_was_ready_gives_up_one_slot_and_keeps_the_others(start_node: Start) -> None:
    node = start_node("steady+ready_once", restart_limit=3, restart_max_seconds=5.0)
    node.wait_for_log("slot given up")
    assert len(node.reports("died", "default/1")) == 3
    node.signal(signal.SIGHUP)
    node.wait_for("died", "default/1", count=4)
    assert node.process.poll() is None
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == 0


def test_a_child_that_waits_for_postgresql_is_not_late_and_obeys_at_once(start_node: Start) -> None:
    node = start_node("waits", boot_timeout_seconds=0.2)
    node.wait_for("waits")
    signal.sigtimedwait((), 1.0)
    assert len(node.reports("waits")) == 1
    began = time.monotonic()
    node.signal(signal.SIGTERM)
    assert node.wait_for_end() == 0
    assert time.monotonic() - began < 5
