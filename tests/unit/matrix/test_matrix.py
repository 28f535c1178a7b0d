"""bin/test-matrix: which cells run again, the table, and the variables that point the fixtures at other servers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.matrix import __main__ as command
from tests.matrix import results as module
from tests.matrix.__main__ import Lanes
from tests.matrix.cells import CELLS, Cell
from tests.matrix.control import CellServer, Control
from tests.matrix.results import FAILED, NOT_AVAILABLE, PASSED, Result, Results, exit_status, read_junit, table
from tests.matrix.running import How, Servers, run_cell
from tests.matrix.trees import NotAvailable, ServerFailed
from tests.support.outside import OutsideServers, read_variables
from tests.support.source import ROOT

DSN = "postgresql://dtqs:secret@127.0.0.1:5000/dtqs"


def test_the_cells_are_every_combination_and_have_names_of_their_own() -> None:
    assert len({cell.name for cell in CELLS}) == len(CELLS) == 30
    stable = {(cell.postgresql, cell.path, cell.rabbitmq, cell.queue_type) for cell in CELLS if cell.postgresql < "18"}
    assert len(stable) == 2 * 3 * 2 * 2
    assert {cell.has_prepared for cell in CELLS if cell.path == "1.18"} == {False}


@pytest.mark.parametrize("all_tests", [False, True])
def test_each_test_of_a_cell_exists_and_one_cell_of_each_path_has_those_of_the_store(all_tests: bool) -> None:
    stores = [cell for cell in CELLS if "tests/integration/test_store_plans.py" in cell.tests(all_tests)]
    assert len(stores) == len({(cell.postgresql, cell.path) for cell in stores}) == 3 * 3
    for name in {name for cell in CELLS for name in cell.tests(all_tests)}:
        file, _, test = name.removeprefix("--deselect=").partition("::")
        assert f"def {test or 'test'}" in (ROOT / file).read_text(encoding="utf-8")


def test_all_tests_include_the_chosen_ones() -> None:
    files = {name.partition("::")[0] for name in CELLS[0].tests(all_tests=False) if not name.startswith("--")}
    assert files <= {name.partition("::")[0] for name in CELLS[0].tests(all_tests=True)}


def test_a_second_call_knows_what_passed_and_a_change_of_the_code_forgets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "var/results.json"
    Results(path).keep("one", Result(PASSED, 5, seconds=7, versions="RabbitMQ 4.0.5"))
    second = Results(path)
    second.keep("two", Result(FAILED, 4, 1, note="test_x"))
    assert not second.are_passed(["one", "two"])
    assert second.are_passed(["one"])
    lines = list(table(["one", "two", "three"], Results(path)))
    words = [line.split()[:3] for line in lines[1:4]]
    assert words == [["one", "passed", "5"], ["two", "failed", "4"], ["three", "not", "run"]]
    assert lines[4] == "Versions: RabbitMQ 4.0.5"
    monkeypatch.setattr(module, "_fingerprint", lambda: "other code")
    assert Results(path).by_name == {}


@pytest.mark.parametrize(
    ("stable", "newest", "status"),
    [
        (PASSED, PASSED, 0),
        (PASSED, NOT_AVAILABLE, 0),
        (NOT_AVAILABLE, PASSED, 1),
        (NOT_AVAILABLE, NOT_AVAILABLE, 1),
        (PASSED, FAILED, 1),
        (PASSED, None, 1),
    ],
)
def test_only_the_newest_servers_may_be_missing(tmp_path: Path, stable: str, newest: str | None, status: int) -> None:
    cells = [next(cell for cell in CELLS if cell.postgresql == version) for version in ("17", "18")]
    results = Results(tmp_path / "results.json")
    for cell, state in zip(cells, (stable, newest), strict=True):
        if state:
            results.keep(cell.name, Result(state))
    assert exit_status(cells, results) == status


def test_the_report_of_pytest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(
        "<testsuites><testsuite><testcase name='a'/><testcase name='b'><failure/></testcase>"
        "<testcase name='c'><error/></testcase><testcase name='d'><skipped/></testcase></testsuite></testsuites>"
    )
    assert read_junit(tmp_path / "report.xml") == (1, 2, 1, ["b", "c"])


def test_a_cell_without_its_server_is_not_available_and_not_passed(tmp_path: Path) -> None:
    class NoServers(Servers):
        def postgresql(self, version: str) -> None:  # type: ignore[override]
            raise NotAvailable("needs root")

    result = run_cell(CELLS[0], NoServers(), How(tmp_path, 1, False, threading.Event()))
    assert (result.state, result.note) == ("not available", "needs root")


def test_each_cell_runs_once_and_no_servers_serve_two_cells_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy: set[int] = set()
    both = threading.Barrier(2)

    def run(cell: Cell, servers: Servers, _: How) -> Result:
        assert id(servers) not in busy
        busy.add(id(servers))
        both.wait(10)
        busy.remove(id(servers))
        return Result(PASSED, 1)

    monkeypatch.setattr(command, "run_cell", run)
    results = Results(tmp_path / "results.json")
    Lanes(CELLS, How(tmp_path, 1, False, threading.Event()), results).run(2)
    assert results.by_name == {cell.name: Result(PASSED, 1) for cell in CELLS}


def test_the_end_of_a_lane_interrupts_the_others_and_their_cells_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cell: Cell, _: Servers, how: How) -> Result:
        if cell is CELLS[0]:
            raise OSError("no space")
        assert how.interrupted.wait(10)
        return Result(FAILED, note="interrupted")

    monkeypatch.setattr(command, "run_cell", run)
    results = Results(tmp_path / "results.json")
    with pytest.raises(OSError, match="no space"):
        Lanes(CELLS, How(tmp_path, 1, False, threading.Event()), results).run(2)
    assert results.by_name == {}


class Recorder:
    """Records the verbs of a server, of which one fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def kill(self) -> None:
        self.asked.append(("kill",))

    def start(self) -> None:
        raise ServerFailed("no disk")

    def ctl(self, *arguments: str) -> str:
        self.asked.append(("ctl", *arguments))
        return "said"


@contextmanager
def served(control: Control) -> Iterator[None]:
    end = threading.Event()

    def serve() -> None:
        while not end.is_set():
            control.serve(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(10)
        control.close()


def test_a_test_kills_and_commands_a_server_of_its_cell() -> None:
    recorder = Recorder()
    control = Control({"rabbitmq": recorder})  # type: ignore[dict-item]
    with served(control):
        server = CellServer(control.path, "rabbitmq")
        server.kill()
        assert server.ctl("status", "-q") == "said"
        with pytest.raises(AssertionError, match="start rabbitmq: no disk"):
            server.start()
    assert recorder.asked == [("kill",), ("ctl", "status", "-q")]
    assert not Path(control.path).exists()


def test_the_product_connects_through_pgbouncer_and_the_tests_directly() -> None:
    servers = OutsideServers(DSN, "127.0.0.1:6432", "off", "amqp://x", "http://x", "quorum")
    assert servers.settings(DSN.removesuffix("dtqs") + "test_1") == {
        "postgresql": {"dsn": "postgresql://dtqs:secret@127.0.0.1:6432/test_1", "prepared_statements": "off"},
        "rabbitmq": {"queue_type": "quorum"},
    }
    elsewhere = DSN.replace(":5000", ":5001")
    assert servers.settings(elsewhere)["postgresql"]["dsn"] == elsewhere
    assert OutsideServers().settings(DSN) == {"postgresql": {"dsn": DSN}, "rabbitmq": {}}


@pytest.mark.parametrize("name", ["RABBITMQ_URL", "RABBITMQ_API", "PGBOUNCER"])
def test_half_of_a_pair_of_variables_is_refused(name: str) -> None:
    with pytest.raises(pytest.UsageError, match=name):
        read_variables({f"DTQS_TEST_{name}": "x"})
