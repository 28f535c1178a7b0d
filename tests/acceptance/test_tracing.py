"""One request, followed by its id through the logs, and by its trace to a collector that this test plays."""

import json

from tests.support.collector import SeenSpan, running_collector
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"X-Request-ID": "order-4711", "traceparent": f"00-{TRACE}-{PARENT}-01"}


def submitted(system: System, headers: dict[str, str], **payload: object) -> str:
    """Submit a task with these headers, and wait until it is completed."""
    answer = system.client.post("/submit", json={"task_type": "echo", "payload": payload}, headers=headers)
    assert answer.status_code == 202, answer.text
    task_id = str(answer.json()["task_id"])
    system.wait_for(task_id, "completed")
    return task_id


def lines_of(system: System, name: str, request_id: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in system.log(name).splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("request_id") == request_id]


def check_parents(spans: list[SeenSpan]) -> str:
    """Check that `submit` is the parent of all others. Return its parent."""
    (submit,) = [span for span in spans if span.name == "submit"]
    others = [span for span in spans if span is not submit]
    assert {span.parent_id for span in others} == {submit.span_id}
    assert {(span.service, span.name) for span in spans} == {
        ("dtqs-api", "submit"), ("dtqs-worker", "claim"), ("dtqs-worker", "run"), ("dtqs-worker", "finish"),
    }  # fmt: skip
    assert all(submit.begin_ns <= span.begin_ns <= span.end_ns for span in others)
    return submit.parent_id


def test_a_request_is_followed_through_logs_and_spans(system: Factory) -> None:
    with running_collector() as collector:
        one = system(
            {
                "trace": {"otlp_endpoint": collector.url},
                "log": {"format": "json"},
                "api": {"access_log": "on"},
                "pool:default": {"workers": 1},
            }
        )
        task_id = submitted(one, HEADERS, fail_times=1)
        other_id = submitted(one, {})

        def both() -> bool:
            names = [span.name for span in list(collector.spans)]
            return (names.count("submit"), names.count("finish")) == (2, 3)

        eventually(both, 20, "the collector has all spans")
        mine = [span for span in collector.spans if span.trace_id == TRACE]
        others = [span for span in collector.spans if span.trace_id != TRACE]
        assert one.stop_supervisor() == 0

    assert check_parents(mine) == PARENT
    assert check_parents(others) == "", "without a client's trace the API begins one"
    assert len({span.trace_id for span in others}) == 1
    runs = sorted((span for span in mine if span.name == "run"), key=lambda span: span.begin_ns)
    assert [(run.attributes["dtqs.task.attempt"], run.is_error) for run in runs] == [(1, True), (2, False)]
    assert runs[0].message == "TransientError"
    worker_id = str(runs[0].attributes["dtqs.worker.id"])
    assert runs[1].attributes == {
        "dtqs.task.id": task_id, "dtqs.task.type": "echo", "dtqs.task.attempt": 2, "dtqs.task.outcome": "completed",
        "dtqs.worker.id": worker_id, "dtqs.request.id": "order-4711",
    }  # fmt: skip
    assert {span.attributes.get("dtqs.task.id") for span in others} == {other_id}

    (request,) = lines_of(one, "api", "order-4711")
    assert (request["message"], request["path"], request["status"]) == ("request", "/submit", 202)
    (failed,) = lines_of(one, "supervisor", "order-4711")
    assert failed.items() >= {
        "message": "attempt not completed", "task_id": task_id, "attempt": 1, "worker_id": worker_id,
        "error": "TransientError",
    }.items()  # fmt: skip
