"""Whether this code may work on the database's schema, which may change while it runs.

The clock and /readyz look at it; a request only reads what they saw.
"""

import logging
from collections.abc import Callable

from dtqs.errors import SchemaUnfit

logger = logging.getLogger(__name__)


class Fitness:
    """`ask` is the store's: why this code must not work on that schema, or None."""

    def __init__(self, ask: Callable[[], str | None]) -> None:
        self._ask = ask
        self.refusal: str | None = None

    def look(self) -> None:
        """Ask the database. Raises StoreUnavailable: then what was known holds."""
        self.learn(self._ask())

    def learn(self, refusal: str | None) -> None:
        """Remember an answer, and log it where it is another one."""
        before, self.refusal = self.refusal, refusal
        if refusal is not None and refusal != before:
            logger.critical("cannot work on this database any more: submits are refused", extra={"reason": refusal})
        elif refusal is None and before is not None:
            logger.warning("the schema fits again: submits are accepted")

    def require(self) -> None:
        """Raises SchemaUnfit."""
        if self.refusal is not None:
            raise SchemaUnfit(self.refusal)
