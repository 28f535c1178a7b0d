"""Headers that every answer carries for browsers and caches, unless its resource sets others."""

import falcon

from dtqs.api.refusal import HEADERS


class Answer(falcon.Response):
    """A response that begins with these headers."""

    __slots__ = ()

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        super().__init__(options)
        self.set_headers(HEADERS)
