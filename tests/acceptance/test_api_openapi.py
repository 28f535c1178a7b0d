"""GET /openapi.json describes all requests and answers, and the API follows it."""

from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.fix_system import System

PLAIN = [
    ("POST", "/submit"), ("GET", "/tasks"), ("GET", "/tasks/{task_id}"), ("GET", "/tasks/{task_id}/logs"),
    ("POST", "/tasks/{task_id}/cancel"), ("POST", "/tasks/{task_id}/retry"), ("POST", "/files"),
    ("GET", "/files/{file_id}"), ("GET", "/sse"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/overview"),
    ("GET", "/logs"), ("POST", "/session"), ("DELETE", "/session"),
    ("GET", "/backlog"),
]  # fmt: skip
DESCRIBED = [*PLAIN, ("GET", "/session"), ("GET", "/overview/stream"), ("GET", "/metrics")]
"""Generated requests leave these out: the stream never ends, and the metrics are no JSON."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def document(system: System) -> dict[str, Any]:
    return dict(system.client.get("/openapi.json").json())


def validator(whole: dict[str, Any], name: str) -> Any:
    return jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", "components": whole["components"]})


def test_every_route_is_described_and_every_reference_resolves(shared: System) -> None:
    whole = document(shared)
    assert {(method.upper(), path) for path, methods in whole["paths"].items() for method in methods} == set(DESCRIBED)
    names = set(whole["components"]["schemas"])
    assert {
        "submit.echo",
        "submit.image",
        "payload.echo",
        "payload.image",
        "Accepted",
        "TaskShape",
        "ProblemShape",
    } <= names
    for name in names:
        validator(whole, name)  # resolves the references


def test_examples_are_valid_and_accepted(shared: System) -> None:
    whole = document(shared)
    for name in ("echo", "image"):
        for example in whole["components"]["schemas"][f"payload.{name}"].get("examples", []):
            assert validator(whole, "Submit").is_valid({"task_type": name, "payload": example})
    for body in (
        {"task_type": "echo", "payload": {}},
        [{"task_type": "echo", "payload": {"a": 1}, "tags": ["x"], "due_at": "2026-01-01T00:00:00Z"}],
    ):
        assert validator(whole, "SubmitMany" if isinstance(body, list) else "Submit").is_valid(body)
        assert shared.client.post("/submit", json=body).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {"task_type": "nothing", "payload": {}},
        {"task_type": "echo"},
        {"task_type": "echo", "payload": {}, "priority": 10},
        {"task_type": "echo", "payload": {}, "colour": 1},
        {"task_type": "echo", "payload": {"steps": -1}},
        {"task_type": "echo", "payload": {}, "delay_seconds": 1, "due_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_the_document_and_the_api_refuse_the_same_bodies(shared: System, body: dict[str, Any]) -> None:
    assert not validator(document(shared), "Submit").is_valid(body)
    assert shared.client.post("/submit", json=body).status_code == 422


def test_answers_match_their_description(shared: System) -> None:
    whole = document(shared)
    task = shared.wait_for(shared.submit({"steps": 1}))
    logs = shared.client.get(f"/tasks/{task['task_id']}/logs").json()
    got = {
        "TaskPage": "/tasks?limit=2",
        "OverviewShape": "/overview",
        "NewestLogs": "/logs",
        "SessionShape": "/session",
    }
    for name, answer in (
        ("TaskShape", task),
        ("LogPage", logs),
        *((name, shared.client.get(path).json()) for name, path in got.items()),
    ):
        validator(whole, name).validate(answer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "path"), PLAIN)
def test_answers_to_generated_requests_match_their_description(shared: System, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{shared.url}/openapi.json")
    operation = schema[path][method]

    @settings(
        max_examples=12,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
    def check(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {shared.key}"}, checks=CHECKS, timeout=10)

    check()
