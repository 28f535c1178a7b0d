"""The OpenAPI document names the answers that all requests with a key, and all look-ups in PostgreSQL, may get."""

from typing import Any

import pytest

from dtqs.api.openapi.paths import PATHS, RESPONSES

OPERATIONS = {f"{method} {path}": operation for path, methods in PATHS.items() for method, operation in methods.items()}
KEYED = sorted(name for name, operation in OPERATIONS.items() if operation["security"])


def codes(name: str) -> set[str]:
    return set(OPERATIONS[name]["responses"])


@pytest.mark.parametrize("name", KEYED)
def test_a_request_with_a_key_may_be_refused_for_its_key(name: str) -> None:
    assert {"401", "403", "429"} <= codes(name)
    # a stream begins and ends at once when PostgreSQL is away, since an EventSource gives up after an error
    assert ("503" in codes(name)) is (name != "get /sse")


def test_a_session_needs_postgresql_and_a_login_looks_up_a_key() -> None:
    assert {"429", "503"} <= codes("post /session")
    assert "503" in codes("get /session") & codes("delete /session")


def test_an_upload_may_be_a_form() -> None:
    content: dict[str, Any] = OPERATIONS["post /files"]["requestBody"]["content"]
    assert set(content) == {"application/octet-stream", "multipart/form-data"}


def test_each_named_problem_is_described() -> None:
    named = {one["$ref"] for op in OPERATIONS.values() for one in op["responses"].values() if "$ref" in one}
    assert named == {f"#/components/responses/{name}" for name in RESPONSES}
