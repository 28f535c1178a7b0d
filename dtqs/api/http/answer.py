"""Answers: default headers, and JSON bodies."""

import falcon

from dtqs.api.http.refusal import HEADERS
from dtqs.json_value import dumps


class Answer(falcon.Response):
    """A response with the default headers."""

    __slots__ = ()

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        super().__init__(options)
        self.set_headers(HEADERS)


def answer(resp: falcon.Response, value: object, status: str = falcon.HTTP_200) -> None:
    """Answer with this value as JSON."""
    resp.status, resp.content_type, resp.data = status, falcon.MEDIA_JSON, dumps(value)
