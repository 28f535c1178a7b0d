"""Errors as RFC 9457 problem documents. The text of an unexpected error never leaves the process."""

import logging
from collections.abc import Sequence
from http import HTTPStatus

import falcon

from dtqs.api.http.refusal import HEADERS, MEDIA_TYPE, RETRY_AFTER_SECONDS, SHOWN_PROBLEMS, document
from dtqs.errors import (
    AboveCeiling,
    AnswersFull,
    BodiesFull,
    BrokerUnavailable,
    Conflict,
    ExaminerBusy,
    FilesUnavailable,
    InputRefused,
    Invalid,
    NotFound,
    Problem,
    SchemaUnfit,
    StoreUnavailable,
    TooManyRequests,
    TransientError,
    UploadsFull,
)
from dtqs.files import DiskReserved, TooLarge
from dtqs.uuid7 import uuid7

_REASONS = {
    StoreUnavailable: "PostgreSQL cannot be reached, or is too slow,",
    BrokerUnavailable: "RabbitMQ cannot be reached, or is too slow,",
    ExaminerBusy: "the process that examines large bodies is too busy",
    UploadsFull: "too many bytes of uploads are on their way",
    BodiesFull: "too many large bodies are on their way",
    AnswersFull: "too many bytes of large answers are on their way",
    DiskReserved: "the disk of the files is almost full, and the rest is kept for outputs of tasks,",
    FilesUnavailable: "the place where files are kept cannot be reached, or is full,",
}

_OF_CONTENT = (
    "accept-ranges", "content-disposition", "content-encoding", "content-language", "content-length",
    "content-location", "content-range", "content-security-policy", "etag", "expires", "last-modified", "location",
    "preference-applied",
)  # fmt: skip
"""Headers that describe the answer which the problem replaces. With the ETag of a file, a cache would keep the problem
document as that file."""

logger = logging.getLogger(__name__)


def add_handlers(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Make the app answer every error with a problem document."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(NotFound, _not_found)
    app.add_error_handler(Conflict, _conflict)
    app.add_error_handler(Invalid, _invalid)
    app.add_error_handler(AboveCeiling, _above_ceiling)
    app.add_error_handler(TooManyRequests, _too_many)
    app.add_error_handler(InputRefused, _refused)
    app.add_error_handler(TooLarge, _too_large)
    app.add_error_handler(TransientError, _unavailable)
    app.add_error_handler(SchemaUnfit, _unfit)


def write(
    resp: falcon.Response, status: HTTPStatus, detail: str, errors: Sequence[Problem] = (), instance: str | None = None
) -> None:
    """Make the response a problem document, whatever it was before."""
    for name in _OF_CONTENT:
        resp.delete_header(name)
    resp.set_headers(HEADERS)
    resp.status = f"{int(status)} {status.phrase}"
    resp.content_type = MEDIA_TYPE
    resp.stream = None
    resp.data = document(status, detail, errors, instance)


def _serialize(_: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    status = HTTPStatus(error.status_code)
    write(resp, status, error.description or status.description or status.phrase)
    if error.headers is not None:
        resp.set_headers(error.headers)  # such as the Content-Range of a 416


def _not_found(_: falcon.Request, resp: falcon.Response, error: Exception, __: object) -> None:
    write(resp, HTTPStatus.NOT_FOUND, str(error)[:500])


def _conflict(_: falcon.Request, resp: falcon.Response, error: Exception, __: object) -> None:
    write(resp, HTTPStatus.CONFLICT, str(error))


def _invalid(_: falcon.Request, resp: falcon.Response, error: Invalid, __: object) -> None:
    count = len(error.problems)
    detail = f"more than {SHOWN_PROBLEMS} fields are wrong; the first {SHOWN_PROBLEMS} are listed"
    if count <= SHOWN_PROBLEMS:
        detail = f"{count} {'field is' if count == 1 else 'fields are'} wrong"
    write(resp, HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems)


def _above_ceiling(_: falcon.Request, resp: falcon.Response, error: AboveCeiling, __: object) -> None:
    write(
        resp,
        HTTPStatus.FORBIDDEN,
        "this request is above the ceilings of this API key; its operator has set them",
        error.problems,
    )


def _too_many(_: falcon.Request, resp: falcon.Response, error: TooManyRequests, __: object) -> None:
    resp.set_header("Retry-After", str(error.retry_after_seconds))
    write(resp, HTTPStatus.TOO_MANY_REQUESTS, str(error))


def _refused(_: falcon.Request, resp: falcon.Response, error: Exception, __: object) -> None:
    write(resp, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def _too_large(_: falcon.Request, resp: falcon.Response, error: TooLarge, __: object) -> None:
    write(resp, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the file is longer than the allowed {error.limit_bytes} bytes")


def _unavailable(_: falcon.Request, resp: falcon.Response, error: Exception, __: object) -> None:
    """Answer that a dependency is away or slow. Its driver's message goes to the log only: it names hosts and users."""
    logger.warning("request refused: unavailable", extra={"reason": str(error)})
    resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
    reason = next(
        (text for kind, text in _REASONS.items() if isinstance(error, kind)), "a dependency cannot be reached"
    )
    write(resp, HTTPStatus.SERVICE_UNAVAILABLE, f"{reason} at the moment; nothing is lost, try again")


def _unfit(_: falcon.Request, resp: falcon.Response, error: Exception, __: object) -> None:
    """Answer that the schema does not fit. Fitness has logged it already."""
    resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
    write(resp, HTTPStatus.SERVICE_UNAVAILABLE, f"this API takes no tasks: {error}")


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, __: object) -> None:
    error_id = uuid7()
    logger.error(
        "unexpected error", exc_info=error, extra={"error_id": error_id, "method": req.method, "path": req.path}
    )
    write(
        resp,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "an unexpected error; the log has it under the id of this instance",
        instance=f"urn:uuid:{error_id}",
    )
