"""The operations of the OpenAPI document, as data; pure."""

from typing import Any

from dtqs.api.backlog import TYPES_LIMIT
from dtqs.api.openapi.submit_answers import PREFER, SUBMIT_ANSWERS
from dtqs.api.submit.task_links import PAGE_LIMIT
from dtqs.api.tasks.resources import LOG_ID_LIMIT, LOGS_DEFAULT, LOGS_LIMIT, PAGE_DEFAULT
from dtqs.event import LEVELS
from dtqs.task import Status

Node = dict[str, Any]
_KEY: list[Node] = [{"key": []}]
_PROBLEM: Node = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemShape"}}}
_UUID: Node = {"type": "string", "format": "uuid"}
_CODES = {
    "400": "the body is not valid JSON, or was cut off",
    "401": "no API key, or an unknown one",
    "403": "the key lacks the scope for this",
    "404": "it does not exist, or belongs to another key",
    "408": "the body did not come in time",
    "409": "its present state does not allow this",
    "413": "the body is too long",
    "415": "the body is not JSON",
    "416": "the range lies outside the file",
    "422": "one or more fields are wrong; all of them are listed",
    "429": "too many unknown keys from this address, or too many pending tasks; wait for the seconds in Retry-After",
    "503": "a dependency is away; try again",
}
RESPONSES: Node = {f"problem{code}": {"description": text, "content": _PROBLEM} for code, text in _CODES.items()}


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
        "limit", {"type": "integer", "minimum": 1, "maximum": most, "default": default}, "most rows of a page"
    )


def without_security(paths: Node) -> Node:
    """Return the same operations where auth is off."""
    return {
        path: {method: {**operation, "security": []} for method, operation in methods.items()}
        for path, methods in paths.items()
    }


_TASK = _parameter("task_id", _UUID, "the task's id", "path")
_FILE = _parameter("file_id", _UUID, "the id after upload:", "path")
_CURSOR = "^(~[A-Za-z0-9_-]{22}|[0-9a-f-]{36})$"
_TEXT: Node = {"type": "string", "minLength": 1, "maxLength": 100}
_FORM: Node = {
    "description": "one file and nothing else; its field may have any name", "additionalProperties": False,
    "type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"],
}  # fmt: skip
_ANY_BYTES: Node = {"description": "the bytes", "content": {"*/*": {"schema": {}}}}
_SUBMIT = _operation(
    "submit",
    "Submit a task, or an array of up to 1000, all or none",
    SUBMIT_ANSWERS | _problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    [
        _parameter(
            "Idempotency-Key",
            {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "makes a repeated submit return the tasks of the first",
            "header",
        ),
        _parameter(
            "X-Request-ID",
            {"type": "string", "pattern": "^[!-~]{1,128}$"},
            "id of this request, returned, logged and kept with its tasks; without a valid one the API makes one",
            "header",
        ),
        PREFER,
        _parameter("traceparent", {"type": "string"}, "the trace of this request (W3C Trace Context)", "header"),
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
    "Follow tasks: status, progress, then completed, failed or cancelled for each",
    {
        "200": {"description": "Server-Sent Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        "204": {"description": "the client has seen all final events"},
    }
    | _problems(401, 403, 404, 422, 429),
    [
        _parameter(
            "task_id", {"type": "array", "items": _UUID, "minItems": 1, "maxItems": 100}, "repeatable", required=True
        ),
        _parameter("Last-Event-ID", {"type": "string"}, "resumes after that event", "header"),
        _parameter("last_event_id", {"type": "string"}, "the same, for clients that cannot set a header"),
    ],
    [{"key": []}, {"ticket": []}],
)
_LIST = _operation(
    "tasks",
    "List tasks, newest first",
    {"200": _json("TaskPage", "a page")} | _problems(401, 403, 422, 429, 503),
    [
        _parameter("status", {"type": "string", "enum": [str(status) for status in Status]}, "only these"),
        _parameter("task_type", _TEXT, "only these"),
        _parameter("tag", _TEXT, "only tasks with this tag"),
        _limit(PAGE_DEFAULT, PAGE_LIMIT),
        _parameter("retried", {"type": "string", "enum": ["no"]}, "no: only tasks without a retry"),
        _parameter("after", {"type": "string", "pattern": _CURSOR}, "`next` of the page before"),
    ],
)
_LOGS = _operation(
    "logs",
    "A task's log, oldest first",
    {"200": _json("LogPage", "a page")} | _problems(401, 403, 404, 422, 429, 503),
    [
        _TASK,
        _limit(LOGS_DEFAULT, LOGS_LIMIT),
        _parameter("after", {"type": "integer", "minimum": 0, "maximum": LOG_ID_LIMIT}, "a row's id"),
    ],
)
_CANCEL = _operation(
    "cancel",
    "Cancel: a pending task at once, a running one is interrupted",
    {"200": _json("TaskShape", "cancelled"), "202": _json("TaskShape", "it runs, and will be interrupted")}
    | _problems(401, 403, 404, 409, 422, 429, 503),
    [_TASK],
)
_RETRY = _operation(
    "retry",
    "Submit a failed or cancelled task again; a second call returns the new task of the first",
    {"202": _json("Accepted", "accepted")} | _problems(401, 403, 404, 409, 422, 429, 503),
    [_TASK],
)
_UPLOAD = _operation(
    "upload",
    "Upload a file, raw or as the only file of a form",
    {"201": _json("Uploaded", "durable")} | _problems(400, 401, 403, 408, 413, 422, 429, 503),
    [_parameter("name", {"type": "string"}, "its name, for people")],
) | {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {}}, "multipart/form-data": {"schema": _FORM}},
    }
}
_DOWNLOAD = _operation(
    "download",
    "Download an upload or an output, whole or a range of it",
    {"200": _ANY_BYTES, "206": _ANY_BYTES, "304": {"description": "not changed"}}
    | _problems(401, 403, 404, 416, 422, 429, 503),
    [
        _FILE,
        _parameter(
            "name",
            {"type": "string", "minLength": 1, "maxLength": 100},
            "save it under this name; some players need a certain extension",
        ),
        _parameter("Range", {"type": "string"}, "bytes=FIRST-LAST", "header"),
        _parameter("If-None-Match", {"type": "string"}, "an ETag", "header"),
    ],
)
_OVERVIEW = _operation(
    "overview",
    "The whole system at one moment",
    {"200": _json("OverviewShape", "a reading")} | _problems(401, 403, 422, 429, 503),
)
_OVERVIEW_STREAM = _operation(
    "overviewStream",
    "The whole system over time: history, then a reading every two seconds",
    {"200": {"description": "Server-Sent Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    | _problems(401, 403, 422, 429, 503),
)
_NEWEST_LOGS = _operation(
    "newestLogs",
    "The newest rows of all tasks' logs",
    {"200": _json("NewestLogs", "the rows, newest last")} | _problems(401, 403, 422, 429, 503),
    [
        _limit(LOGS_DEFAULT, LOGS_LIMIT),
        _parameter("level", {"type": "string", "enum": list(LEVELS)}, "only rows of this level or above"),
        _parameter("task_id", _UUID, "only rows of this task"),
        _parameter("search", _TEXT, "only rows with this text"),
    ],
)
_SESSION: Node = {
    "get": _operation(
        "session",
        "Show the session of the cookie",
        {"200": _json("SessionShape", "the session, or nulls without one")} | _problems(422, 503),
        security=[],
    ),
    "post": _operation(
        "login",
        "Begin a session: exchange an API key for a cookie",
        {"200": _json("SessionShape", "begun")} | _problems(400, 403, 408, 413, 415, 422, 429, 503),
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
        "End the session",
        {"204": {"description": "ended"}} | _problems(403, 422, 503),
        security=[],
    ),
}
_METRICS = _operation(
    "metrics", "The whole system as metrics for Prometheus, or OpenMetrics by Accept",
    {"200": {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    | _problems(401, 403, 422, 429, 503),
)  # fmt: skip
_BACKLOG = _operation(
    "backlog", "The number of due tasks and tasks in progress, counted up to 10,000 each",
    {"200": _json("BacklogShape", "the numbers of at most a second ago")} | _problems(401, 403, 422, 429, 503),
    [_parameter("task_type", {"type": "array", "items": {"type": "string"}, "maxItems": TYPES_LIMIT}, "only these")],
)  # fmt: skip
_HEALTHZ = _operation(
    "healthz",
    "Check that the process runs",
    {"200": {"description": "it runs", "content": {"application/json": {"schema": {}}}}},
    security=[],
)
_READYZ = _operation(
    "readyz",
    "Check that the API can accept tasks",
    {
        code: {"description": text, "content": {"application/json": {"schema": {}}}}
        for code, text in (("200", "it can"), ("503", "it cannot"))
    },
    security=[],
)

PATHS: Node = {
    "/submit": {"post": _SUBMIT},
    "/sse": {"get": _SSE},
    "/tasks": {"get": _LIST},
    "/tasks/{task_id}": {
        "get": _operation(
            "task",
            "One task",
            {"200": _json("TaskShape", "the task")} | _problems(401, 403, 404, 422, 429, 503),
            [_TASK],
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
    "/metrics": {"get": _METRICS},
    "/backlog": {"get": _BACKLOG},
    "/session": _SESSION,
    "/healthz": {"get": _HEALTHZ},
    "/readyz": {"get": _READYZ},
}
