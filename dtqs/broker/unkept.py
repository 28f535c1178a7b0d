"""Queues whose hints the broker does not keep, as a publisher sees it.

A quorum queue without most of its nodes still answers a look. It refuses hints at once, or after a minute.
"""

import time

from dtqs.broker.publisher import Publisher

_REFUSED_SECONDS = 60.0
"""How long a refusal counts at most. Keepers publish hints that were not kept again within seconds."""


class UnkeptHints:
    """Looks at the hints of one publisher, on its loop."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._oldest: tuple[str, str] | None = None

    def look(self) -> list[str]:
        """Return the queues. A hint counts if it had no answer at the last look either, some seconds ago."""
        before, self._oldest = self._oldest, self._publisher.oldest
        late = {self._oldest[1]} if self._oldest is not None and self._oldest == before else set()
        since = time.monotonic() - _REFUSED_SECONDS
        return sorted(late | {queue for queue, at in self._publisher.refused_at.items() if at > since})

    def forget(self, queue: str) -> None:
        """Forget what the broker refused while the queue was down."""
        self._publisher.refused_at.pop(queue, None)
