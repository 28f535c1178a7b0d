"""The answers of a submit in the OpenAPI document, and the headers that choose among them, as data; pure."""

from typing import Any

from dtqs.api.stream.following import WAIT_LIMIT_SECONDS
from dtqs.api.stream.resource import TASKS_LIMIT

Node = dict[str, Any]


def _one_or_many(model: str) -> Node:
    shape: Node = {"$ref": f"#/components/schemas/{model}"}
    return {"schema": {"anyOf": [shape, {"type": "array", "items": shape}]}}


_APPLIED: Node = {
    "Preference-Applied": {"schema": {"type": "string"}, "description": "the applied wait; missing without one"}
}
SUBMIT_ANSWERS: Node = {
    "200": {
        "description": "with Prefer: wait, the tasks with their outcomes; with Accept: text/event-stream, their events",
        "headers": _APPLIED,
        "content": {
            "application/json": _one_or_many("TaskShape"),
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
    "202": {
        "description": "accepted: durable",
        "headers": _APPLIED,
        "content": {"application/json": _one_or_many("Accepted")},
    },
}
PREFER: Node = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": (
        f"wait=SECONDS: answer with the outcomes of up to {TASKS_LIMIT} tasks, or 202 when the time is over; "
        f"at most {WAIT_LIMIT_SECONDS} (RFC 7240)"
    ),
    "schema": {"type": "string"},
}
