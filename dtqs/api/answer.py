"""What every answer says of itself to browsers and caches, unless its resource says otherwise."""

import falcon

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
"""Answers hold tasks and tickets: nobody keeps them, guesses another type, or embeds them in a page of another site."""


class Answer(falcon.Response):
    """A response that begins with these headers."""

    __slots__ = ()

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        super().__init__(options)
        self.set_headers(HEADERS)
