"""Spans of the requests that submit tasks. Without traces this middleware is not in the application."""

from typing import TYPE_CHECKING

import falcon

from dtqs.api.http.request_ids import current_origin, go_on

if TYPE_CHECKING:
    from dtqs.tracing.otel import ApiTraces

_TASK = "/tasks/"
_RETRY = "/retry"


class SubmitSpans:
    """The middleware of falcon behind RequestIds: the tasks of a request belong to its span."""

    def __init__(self, traces: "ApiTraces") -> None:
        self._traces = traces

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        name = _name(req)
        origin = current_origin()
        if name and origin:
            req.context.span, own = self._traces.open(name, origin)
            go_on(own)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        if span := getattr(req.context, "span", None):
            _, _, task_id = (resp.get_header("Location") or "").rpartition(_TASK)
            self._traces.close(span, resp.status_code, task_id)


def _name(req: falcon.Request) -> str | None:
    if req.method != "POST":
        return None
    if req.path == "/submit":
        return "submit"
    return "retry" if req.path.startswith(_TASK) and req.path.endswith(_RETRY) else None
