"""An API process's look at the queues. It declares nothing: /readyz shows which of them do not serve."""

import functools
from collections.abc import Sequence

from dtqs.broker.loop.connection import BrokerConnection, Loop
from dtqs.broker.queue_probe import Found, QueueProbe
from dtqs.broker.unkept import UnkeptHints
from dtqs.unkept import words_of

_LOOK_SECONDS = 5.0
"""Time between two looks. A queue without an answer until the next one does not serve."""


class QueueHomes:
    def __init__(self, loop: Loop, connection: BrokerConnection, queues: Sequence[str], hints: UnkeptHints) -> None:
        self._loop, self._connection, self._hints = loop, connection, hints
        self._probes = {queue: QueueProbe(connection, queue) for queue in queues}
        self._down: dict[str, str] = {}
        self._unkept: list[str] = []
        self._stopped = False

    @property
    def down(self) -> str | None:
        """The reasons why queues exist and do not serve, or None. An example is a home node that is down."""
        unkept = [words_of(queue) for queue in self._unkept if queue not in self._down]
        return "; ".join([*self._down.values(), *unkept]) or None

    def start(self) -> None:
        """Look, now and again until `stop`."""
        if self._stopped:
            return
        self._unkept = self._hints.look()
        if self._connection.channel is None:
            self._down.clear()  # the state of the connection tells more
        else:
            self._look()
        self._loop.later(_LOOK_SECONDS, self.start)

    def stop(self) -> None:
        self._stopped = True

    def _look(self) -> None:
        for queue, probe in self._probes.items():
            if probe.waits:
                self._down.setdefault(queue, probe.silence)
            else:
                probe.ask(functools.partial(self._found, queue))

    def _found(self, queue: str, found: Found) -> None:
        if isinstance(found, str):
            self._down[queue] = found
        elif self._down.pop(queue, None) is not None:
            self._hints.forget(queue)
