"""The tests of a cell: those whose end may depend on the versions of the servers, or on the path to PostgreSQL.

docs/servers.md gives the reasons. Each name is an argument of pytest.
"""

from tests.support.source import ROOT


def _in(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/{file}.py::test_{name}" for name in names) or (f"tests/{file}.py",)


EVERYWHERE = (
    *_in("matrix/test_cell"),
    *_in("acceptance/test_api_submit"),
    *_in("acceptance/test_api_tasks"),
    *_in(
        "acceptance/test_api_sse",
        "a_stream_has_status_progress_and_one_outcome",
        "a_failed_event_has_the_number_of_attempts",
        "a_stream_that_begins_after_the_end_shows_the_last_attempt",
        "many_tasks_share_a_stream_and_each_ends_once",
        "a_stream_resumes_after_each_of_its_events_without_loss_or_repeat",
        "a_stream_that_is_cut_after_each_event_misses_and_repeats_none",
    ),
    *_in(
        "acceptance/test_cli_client",
        "tasks_are_listed_shown_cancelled_and_retried",
        "tasks_that_match_a_filter_are_retried_or_cancelled",
    ),
    *_in("chaos/test_worker_killed", "workers_killed_repeatedly_in_batches_of_light_tasks_lose_no_task"),
    *_in(
        "chaos/test_supervisor_killed",
        "the_children_of_a_killed_supervisor_die_and_the_next_one_finishes_their_tasks",
    ),
    *_in("matrix/test_restarts"),
)
LEFT_OUT = (
    *_in("acceptance/test_api_submit", "submits_are_accepted_while_the_broker_is_away"),
    *_in(
        "acceptance/test_api_tasks",
        "idle_connections_do_not_delay_a_shutdown",
        "a_request_that_runs_at_shutdown_is_answered",
    ),
)
"""These start a system of their own, and are about other things."""
OF_THE_QUEUE = (
    *_in("integration/test_worker_link"),
    *_in("process/test_worker", "a_busy_worker_returns_its_hints_for_the_other_workers"),
    *_in("process/test_pools"),
    *_in(
        "chaos/test_queue_deleted",
        "tasks_whose_hints_were_lost_without_workers_are_done_when_workers_start",
        "a_queue_deleted_repeatedly_under_load_loses_no_task",
    ),
)
"""These are about hints, so the path to PostgreSQL makes no difference."""
OF_THE_PATH = tuple(
    str(path.relative_to(ROOT))
    for pattern in ("store_*", "pairs*", "readings", "statements_fit")
    for path in sorted(ROOT.glob(f"tests/integration/test_{pattern}.py"))
)
"""These need no broker, and run each statement of the store: its result, its locks and its plan."""
MORE = (
    *_in("acceptance/test_spine"),
    *_in("acceptance/test_api_submit"),
    *_in("acceptance/test_api_tasks"),
    *_in("acceptance/test_api_sse"),
    *_in("acceptance/test_api_follow"),
    *_in("acceptance/test_cli_client"),
    *_in("acceptance/test_metrics"),
    *_in("process/test_keeper"),
    *_in("process/test_worker"),
    *_in("chaos/test_worker_killed"),
    *_in("chaos/test_frozen_worker"),
    *_in("chaos/test_supervisor_killed"),
    *_in("chaos/test_queue_deleted"),
    *_in("chaos/test_servers_killed"),
)
"""The rest of these files, for --all-tests. They are about processes, signals and requests."""
