"""gunicorn's gevent worker, whose idle connections end as soon as it is to end; gunicorn itself would wait for each until its keepalive is over."""

from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

_FIRST_SECONDS = 30.0
"""For so long a new connection's first request is waited for."""
_AT_ONCE_SECONDS = 0.01


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """Knows which connections have had an answer and wait for another request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle: set[_Idle] = set()

    def timeout_ctx(self) -> gevent.Timeout:
        """Return the limit of the wait for a connection's next request; its first one is waited for also when we are to end."""
        connection = gevent.getcurrent()
        if not getattr(connection, "answered", False):
            connection.answered = True
            return gevent.Timeout(_FIRST_SECONDS, False)
        return _Idle(self._idle, self.cfg.keepalive if self.alive else _AT_ONCE_SECONDS)

    def init_process(self) -> None:
        # gunicorn looks each setting up through a method, sixty times for a request
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        joining = _Joining(sock)
        try:
            super().handle_request(listener_name, req, joining, addr)
        except StopIteration:  # the reply was the connection's last
            joining.flush()
            raise
        joining.flush()
        sock.settimeout(None)  # the limit of a request is not that of the wait for the next

    def end_idle(self) -> None:
        """End the connections that wait for another request."""
        for idle in list(self._idle):
            idle.end()


class _Joining:
    """A connection whose first write, a reply's head, goes out with the second: one packet, and one waking of the client. Else it is the connection."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._head, self._first = connection, b"", True

    def sendall(self, data: bytes) -> None:
        if self._first:
            self._head, self._first = data, False
            return
        head, self._head = self._head, b""
        self._connection.sendall(head + data if head else data)

    def sendfile(self, *arguments: Any, **options: Any) -> Any:
        self.flush()
        return self._connection.sendfile(*arguments, **options)

    def flush(self) -> None:
        """Send what no second write has come for."""
        head, self._head = self._head, b""
        if head:
            self._connection.sendall(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Idle(gevent.Timeout):  # type: ignore[misc]
    """A limit that can be made to pass at once."""

    def __init__(self, among: set["_Idle"], seconds: float) -> None:
        super().__init__(seconds, False)
        self._among, self._connection = among, gevent.getcurrent()

    def __enter__(self) -> "_Idle":
        self._among.add(self)
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *raised: Any) -> Any:
        self._among.discard(self)
        return super().__exit__(*raised)

    def end(self) -> None:
        gevent.get_hub().loop.run_callback(self._throw)

    def _throw(self) -> None:
        if self in self._among:  # else a request has come in this very turn
            self._connection.throw(self)
