"""The statements of the store: one a file, locks in one order, and locking selections that state their order.

DESIGN.md section 4 (Locks) has the order.
"""

import re
from pathlib import Path

import pytest

from dtqs.store.driver.statements import statement
from tests.support.mutations import unfit

SQL = Path(__file__).parents[2] / "dtqs" / "store" / "sql"
NAMES = sorted(path.stem for path in SQL.glob("*.sql") if ".part" not in path.stem)
LOCK = re.compile(r"FOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b")
CHANGE = re.compile(r"\b(UPDATE|DELETE FROM) (workers|leases|tasks|backlog)\b")
ORDER = ["workers", "leases", "tasks", "backlog"]
BY_ID = re.compile(r"(?<![.\w])(?:lease\.)?(?:id|worker_id|process_id) = %\(\w+_id\)s::uuid")
PRUNED = {"prune_small"}
"""Deletes rows of workers that are long dead and hold no lease: nobody locks these rows any more."""
COUNTING = {"reading_log_rows", "count_pending", "count_backlog", "page_tagged"}
"""Count up to a bound: it does not matter which rows they count."""
LOCKED_BEFORE = {"cancel"}
"""The second of two statements: the first locks the tasks that it changes."""


def code(name: str) -> str:
    """Return the statement without its comments, on one line."""
    text = " ".join(re.sub(r"(?m)^\s*--.*$", "", statement(name).decode()).split())
    return text.replace("( ", "(").replace(" )", ")")


def ctes(text: str) -> dict[str, str]:
    """Return the text of each CTE of a statement, and the rest under the name ''."""
    parts: dict[str, str] = {}
    rest, position = "", 0
    for match in re.finditer(r"(?:WITH |\), )(\w+) AS (?:MATERIALIZED )?\(", text):
        if match.start() < position - 3:
            continue
        end = closing(text, match.end() - 1)
        parts[match[1]] = text[match.start() : end]
        position = end
    rest = text[position:] if parts else text
    return parts | {"": rest}


def closing(text: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    raise ValueError(text)


def is_ordered(part: str) -> bool:
    """Return whether the part orders its rows at its own level, not in a selection inside it."""
    return (
        re.search(
            r"ORDER BY [\w.]+(?: LIMIT %\(limit\)s)?(?: FOR [A-Z ]+(?: OF \w+)?(?: SKIP LOCKED)?)?\)?$", part.strip()
        )
        is not None
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_begins_with_a_comment(name: str) -> None:
    assert re.match(r"-- \S", (SQL / f"{name}.sql").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_locking_selection_names_one_row_or_an_order_and_is_materialized(name: str) -> None:
    for title, part in ctes(code(name)).items():
        for lock in LOCK.finditer(part):
            inner = innermost(part, lock.start())
            assert BY_ID.search(inner) or re.search(
                r"ORDER BY [\w.]+(?:, [\w.]+)*(?: LIMIT (?:%\(limit\)s|\d+))? $", inner
            ), f"{title}: {inner}"
            waits = not part[lock.end() :].startswith(" SKIP LOCKED")
            assert title == "" or "AS MATERIALIZED (" in part or not waits, f"{title}: {part}"


def innermost(part: str, position: int) -> str:
    """Return the text before a position within the selection that contains it."""
    depth = 0
    for at in range(position - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(part[at], 0)
        if depth < 0:
            return part[at + 1 : position]
    return part[:position]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PRUNED])
def test_a_change_of_many_rows_follows_the_order_of_a_selection(name: str) -> None:
    parts = ctes(code(name))
    for title, part in parts.items():
        for change in CHANGE.finditer(part):
            after = part[change.end() :]
            source = re.search(r"\b(?:USING|FROM) (\w+)\b", after)
            if (
                BY_ID.search(after)
                or re.search(r"WHERE id = \( ?SELECT", after)
                or (change[2] == "tasks" and name in LOCKED_BEFORE)
            ):
                continue
            assert source, f"{title}: {part}"
            chosen = parts[source[1]]
            assert "AS MATERIALIZED (" in chosen, chosen
            assert is_ordered(chosen), chosen
            assert change[2] == "tasks" or LOCK.search(chosen), f"{chosen}: rows are locked before they are changed"


@pytest.mark.parametrize("name", ["finish", "part", "take_back"])
def test_tasks_are_settled_in_the_order_of_their_ids(name: str) -> None:
    assert re.search(r"ORDER BY member\.id\)$", ctes(code(name))["settlement"])


BACKLOG_LOCKS = [
    ("claim", "waiting.task_id"),
    ("cancel", "task_id"),
    ("far_out", "task_id"),
    ("put_off", "task_id"),
    ("repair", "waiting.task_id"),
]


@pytest.mark.parametrize(("name", "order"), BACKLOG_LOCKS)
def test_backlog_rows_are_locked_in_the_order_of_their_ids(name: str, order: str) -> None:
    assert f" ORDER BY {order} FOR UPDATE" in ctes(code(name))["locked"]


def test_a_cancel_locks_tasks_in_the_order_of_their_ids() -> None:
    assert code("cancel_lock").endswith(" ORDER BY task.id FOR NO KEY UPDATE")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LOCKED_BEFORE])
def test_locks_are_taken_from_the_worker_to_the_backlog(name: str) -> None:
    taken = []
    for part in ctes(code(name)).values():
        for lock in LOCK.finditer(part):
            table = re.search(
                r"FROM (workers|leases|tasks|backlog)\b(?!.*\bFROM (?:workers|leases|tasks|backlog)\b)",
                innermost(part, lock.start()),
            )
            taken += [table[1]] if table else []
        taken += [change[2] for change in CHANGE.finditer(part)]
    assert [ORDER.index(table) for table in taken] == sorted(ORDER.index(table) for table in taken)


@pytest.mark.parametrize("name", ["relay", "far_out", "repair"])
def test_a_statement_on_the_backlog_alone_skips_locked_rows(name: str) -> None:
    assert "SKIP LOCKED" in code(name)


WAITING = ["claim", "cancel", "finish", "part", "take_back", "cancel_lock", "mark_dead", "put_off"]


@pytest.mark.parametrize("name", WAITING)
def test_a_statement_that_must_change_all_its_rows_waits_for_locks(name: str) -> None:
    assert not re.search("SKIP LOCKED|NOWAIT", code(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COUNTING])
def test_a_selection_with_a_limit_states_its_order(name: str) -> None:
    for before in re.split(r"LIMIT %\(", code(name))[:-1]:
        assert re.search(r"ORDER BY [\w.]+(?: DESC)? $", before), before


@pytest.mark.parametrize("name", [name for name in NAMES if re.search(r"\bUPDATE tasks\b", code(name))])
def test_a_change_of_tasks_requires_no_outcome_and_returns_the_changed_rows(name: str) -> None:
    (part,) = [part for part in ctes(code(name)).values() if "UPDATE tasks" in part]
    assert "task.outcome IS NULL RETURNING" in part


@pytest.mark.parametrize("name", NAMES)
def test_keywords_are_in_upper_case(name: str) -> None:
    words = re.sub(r"'[^']*'|%\(\w+\)s", "", code(name))
    assert not re.search(
        r"\b(select|insert|update|delete|from|where|returning|order by|join|set|values|into|limit|with|on conflict)\b",
        words,
    )


def test_each_mutation_fits_its_statement() -> None:
    assert unfit() == []
