"""The operations of the OpenAPI document; pure data and the words that make it short."""

from typing import Any

from dtqs.api.submit.task_links import PAGE_LIMIT
from dtqs.api.tasks.resources import LOG_ID_LIMIT, LOGS_DEFAULT, LOGS_LIMIT, PAGE_DEFAULT
from dtqs.event import LEVELS
from dtqs.task import Status

Node = dict[str, Any]
_KEY: list[Node] = [{"key": []}]
_PROBLEM: Node = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemShape"}}}
_UUID: Node = {"type": "string", "format": "uuid"}
_CODES = {
    "400": "the body is no JSON, or was cut off",
    "401": "no API key, or none of ours",
    "403": "the key has not the scope that this needs",
    "404": "there is no such thing, or it is somebody else's",
    "408": "the body did not come in time",
    "409": "it is there, but not in a state that allows this",
    "413": "the body is too long",
    "415": "the body is not JSON",
    "416": "the file has no such range",
    "429": "too much of it at once; wait for the seconds of Retry-After",
    "422": "one or more fields are wrong; all of them are listed",
    "503": "a part that this needs is away; try again",
}
RESPONSES: Node = {f"problem{code}": {"description": words, "content": _PROBLEM} for code, words in _CODES.items()}


def _problems(*codes: int) -> Node:
    return {str(code): {"$ref": f"#/components/responses/problem{code}"} for code in codes}


def _json(model: str, description: str) -> Node:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}},
    }


def _parameter(name: str, schema: Node, description: str, where: str = "query", required: bool = False) -> Node:
    return {
        "name": name,
        "in": where,
        "required": required or where == "path",
        "description": description,
        "schema": schema,
    }


def _operation(
    name: str, summary: str, responses: Node, parameters: list[Node] | None = None, security: list[Node] | None = None
) -> Node:
    made = {
        "operationId": name,
        "summary": summary,
        "responses": responses,
        "security": _KEY if security is None else security,
    }
    return made | ({"parameters": parameters} if parameters else {})


def _limit(default: int, most: int) -> Node:
    return _parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": most, "default": default}, "most rows of the page"
    )


def without_security(paths: Node) -> Node:
    """Return the same operations where auth is off."""
    return {
        path: {method: {**operation, "security": []} for method, operation in methods.items()}
        for path, methods in paths.items()
    }


_TASK = _parameter("task_id", _UUID, "the task's id", "path")
_FILE = _parameter("file_id", _UUID, "the id after upload:", "path")
_TEXT: Node = {"type": "string", "minLength": 1, "maxLength": 100}
_ANY_BYTES: Node = {"description": "the bytes", "content": {"*/*": {"schema": {}}}}
_ACCEPTED_MANY: Node = {
    "description": "accepted: durable",
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/Accepted"},
                    {"type": "array", "items": {"$ref": "#/components/schemas/Accepted"}},
                ],
            }
        }
    },
}

_SUBMIT = _operation(
    "submit",
    "Submit a task, or an array of up to 1000, all or none",
    {"202": _ACCEPTED_MANY} | _problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    [
        _parameter(
            "Idempotency-Key",
            {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "makes a repeated submit return the first one's tasks",
            "header",
        )
    ],
) | {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [{"$ref": "#/components/schemas/Submit"}, {"$ref": "#/components/schemas/SubmitMany"}]
                }
            }
        },
    }
}
_SSE = _operation(
    "sse",
    "Follow tasks: status, progress, then one of completed, failed, cancelled for each",
    {
        "200": {"description": "Server-Sent Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        "204": {"description": "all final events were seen already"},
    }
    | _problems(401, 403, 404, 422),
    [
        _parameter(
            "task_id", {"type": "array", "items": _UUID, "minItems": 1, "maxItems": 100}, "repeatable", required=True
        ),
        _parameter("Last-Event-ID", {"type": "string"}, "resumes after that event", "header"),
        _parameter("last_event_id", {"type": "string"}, "the same, for who cannot set a header"),
    ],
    [{"key": []}, {"ticket": []}],
)
_LIST = _operation(
    "tasks",
    "List tasks, newest first",
    {"200": _json("TaskPage", "a page")} | _problems(401, 403, 422, 503),
    [
        _parameter("status", {"type": "string", "enum": [str(status) for status in Status]}, "only these"),
        _parameter("task_type", _TEXT, "only these"),
        _parameter("tag", _TEXT, "only those that have it"),
        _limit(PAGE_DEFAULT, PAGE_LIMIT),
        _parameter(
            "after", {"type": "string", "pattern": "^(~[A-Za-z0-9_-]{22}|[0-9a-f-]{36})$"}, "next of the page before"
        ),
    ],
)
_LOGS = _operation(
    "logs",
    "A task's log, in its order",
    {"200": _json("LogPage", "a page")} | _problems(401, 403, 404, 422, 503),
    [
        _TASK,
        _limit(LOGS_DEFAULT, LOGS_LIMIT),
        _parameter("after", {"type": "integer", "minimum": 0, "maximum": LOG_ID_LIMIT}, "a row's id"),
    ],
)
_CANCEL = _operation(
    "cancel",
    "Cancel: a pending task at once, a running one is interrupted",
    {"200": _json("TaskShape", "cancelled"), "202": _json("TaskShape", "it runs, and is being interrupted")}
    | _problems(401, 403, 404, 409, 422, 503),
    [_TASK],
)
_RETRY = _operation(
    "retry",
    "Submit a failed or cancelled task anew; a second call returns the first one's",
    {"202": _json("Accepted", "accepted")} | _problems(401, 403, 404, 409, 422, 429, 503),
    [_TASK],
)
_UPLOAD = _operation(
    "upload",
    "Upload a file, raw or as a form's one file",
    {"201": _json("Uploaded", "durable")} | _problems(400, 401, 403, 408, 413, 422, 503),
    [_parameter("name", {"type": "string"}, "its name, for people")],
) | {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}}
_DOWNLOAD = _operation(
    "download",
    "Download an upload or an output, whole or a range of it",
    {"200": _ANY_BYTES, "206": _ANY_BYTES, "304": {"description": "not changed"}}
    | _problems(401, 403, 404, 416, 422, 503),
    [
        _FILE,
        _parameter(
            "name",
            {"type": "string", "minLength": 1, "maxLength": 100},
            "save it under this name; for players that go by a name's ending",
        ),
        _parameter("Range", {"type": "string"}, "bytes=FIRST-LAST", "header"),
        _parameter("If-None-Match", {"type": "string"}, "an ETag", "header"),
    ],
)
_OVERVIEW = _operation(
    "overview",
    "The whole system at one moment",
    {"200": _json("OverviewShape", "a reading")} | _problems(401, 403, 422),
)
_OVERVIEW_STREAM = _operation(
    "overviewStream",
    "The whole system as it goes on: history, then a reading every two seconds",
    {"200": {"description": "Server-Sent Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    | _problems(401, 403, 422),
)
_NEWEST_LOGS = _operation(
    "newestLogs",
    "The newest rows of all tasks' logs",
    {"200": _json("NewestLogs", "what was found, the newest last")} | _problems(401, 403, 422, 503),
    [
        _limit(LOGS_DEFAULT, LOGS_LIMIT),
        _parameter("level", {"type": "string", "enum": list(LEVELS)}, "of this level or above"),
        _parameter("task_id", _UUID, "of this task only"),
        _parameter("search", _TEXT, "with this text in them"),
    ],
)
_SESSION: Node = {
    "get": _operation(
        "session",
        "Who is logged in with a cookie",
        {"200": _json("SessionShape", "the session, or none")} | _problems(422),
        security=[],
    ),
    "post": _operation(
        "login",
        "Turn an API key into a session's cookie",
        {"200": _json("SessionShape", "begun")} | _problems(400, 403, 408, 413, 415, 422, 503),
        security=[],
    )
    | {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Login"}}},
        }
    },
    "delete": _operation(
        "logout",
        "Forget the session's cookie",
        {"204": {"description": "forgotten"}} | _problems(403, 422),
        security=[],
    ),
}
_HEALTHZ = _operation(
    "healthz",
    "Is this process there",
    {"200": {"description": "it is", "content": {"application/json": {"schema": {}}}}},
    security=[],
)
_READYZ = _operation(
    "readyz",
    "Can it take tasks: is PostgreSQL there",
    {
        code: {"description": words, "content": {"application/json": {"schema": {}}}}
        for code, words in (("200", "it can"), ("503", "it cannot"))
    },
    security=[],
)

PATHS: Node = {
    "/submit": {"post": _SUBMIT},
    "/sse": {"get": _SSE},
    "/tasks": {"get": _LIST},
    "/tasks/{task_id}": {
        "get": _operation(
            "task", "One task", {"200": _json("TaskShape", "the task")} | _problems(401, 403, 404, 422, 503), [_TASK]
        )
    },
    "/tasks/{task_id}/logs": {"get": _LOGS},
    "/tasks/{task_id}/cancel": {"post": _CANCEL},
    "/tasks/{task_id}/retry": {"post": _RETRY},
    "/files": {"post": _UPLOAD},
    "/files/{file_id}": {"get": _DOWNLOAD},
    "/overview": {"get": _OVERVIEW},
    "/overview/stream": {"get": _OVERVIEW_STREAM},
    "/logs": {"get": _NEWEST_LOGS},
    "/session": _SESSION,
    "/healthz": {"get": _HEALTHZ},
    "/readyz": {"get": _READYZ},
}
