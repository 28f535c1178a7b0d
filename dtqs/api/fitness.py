"""Checks that this code fits the database's schema, which may change while it runs.

A chore and /readyz ask the database. Requests only read the last answer.
"""

import logging
from collections.abc import Callable

from dtqs.errors import SchemaUnfit

logger = logging.getLogger(__name__)


class Fitness:
    """The last answer. `ask` is the store's: it returns the reason against running on the schema, or None."""

    def __init__(self, ask: Callable[[], str | None]) -> None:
        self._ask = ask
        self.refusal: str | None = None

    def look(self) -> None:
        """Ask the database. Raises StoreUnavailable, and then keeps the last answer."""
        self.learn(self._ask())

    def learn(self, refusal: str | None) -> None:
        """Keep an answer, and log it if it differs from the last."""
        before, self.refusal = self.refusal, refusal
        if refusal is not None and refusal != before:
            logger.critical("cannot work on this database any more: submits are refused", extra={"reason": refusal})
        elif refusal is None and before is not None:
            logger.warning("the schema fits again: submits are accepted")

    def require(self) -> None:
        """Raise SchemaUnfit if this code does not fit the schema."""
        if self.refusal is not None:
            raise SchemaUnfit(self.refusal)
