"""The periodic chores of an API process.

It puts hints off, checks the schema, learns the key of the events, writes its totals, and refuses submits that have
waited too long.
"""

import logging
import socket
import time
from collections.abc import Callable

import gevent

from dtqs.api.fitness import Fitness
from dtqs.api.stream.freed_memory import FreedMemory
from dtqs.api.stream.hub import Hub
from dtqs.api.submit.gather import Gather
from dtqs.api.submit.hinting import Hinting
from dtqs.config import LeaseSection
from dtqs.errors import StoreUnavailable
from dtqs.event_seal import EventSeal
from dtqs.repeated_fault import RepeatedFaults
from dtqs.store.workers import ProcessTotals, Workers
from dtqs.uuid7 import uuid7

_TURN_SECONDS = 1.0
logger = logging.getLogger(__name__)


class Chores:
    def __init__(
        self,
        gather: Gather,
        hinting: Hinting,
        hub: Hub,
        workers: Workers,
        totals: ProcessTotals,
        fitness: Fitness,
        lease: LeaseSection,
        last_seconds: float,
        seal: EventSeal,
        presence: Callable[[], None] = lambda: None,
    ) -> None:
        """`presence` notes the values that a heartbeat stores. `last_seconds`: the time limit of the last totals.

        `seal` gets the database's key.
        """
        self._last_seconds, self._seal = last_seconds, seal
        self._gather, self._hinting, self._hub, self._workers, self._totals, self._fitness = (
            gather,
            hinting,
            hub,
            workers,
            totals,
            fitness,
        )
        self._heartbeat_seconds, self._presence = lease.heartbeat_seconds, presence
        # a tenth of the grace, so that hints are put off before the relay looks at them
        self._turn_seconds = min(_TURN_SECONDS, lease.grace_seconds / 10)
        self._process_id, self._node_name = uuid7(), socket.gethostname()
        self._greenlets: list[gevent.Greenlet] = []
        self._freed_memory = FreedMemory()
        self._faults = RepeatedFaults(logger)

    def start(self) -> None:
        """Safe to call twice."""
        if not self._greenlets:
            self._greenlets = [gevent.spawn(self._run), gevent.spawn(self._keep_order)]

    def stop(self) -> None:
        """Write the totals a last time. Safe to call twice."""
        if self._greenlets:
            gevent.killall(self._greenlets, timeout=1.0)
            self._greenlets = []
            try:
                # while the store is away, they must not keep the process from ending
                with gevent.Timeout(self._last_seconds):
                    self._count(ends=True)
            except gevent.Timeout:
                logger.warning("the last totals are not written", extra={"reason": "the store gives no answer"})

    def _run(self) -> None:
        count_at = time.monotonic()
        while True:
            gevent.sleep(self._turn_seconds)
            self._put_off()
            if time.monotonic() >= count_at:
                self._look_at_schema()
                self._learn_key()
                self._count()
                count_at = time.monotonic() + self._heartbeat_seconds

    def _keep_order(self) -> None:
        """Refuse late submits and free memory, in a greenlet of its own: it must go on while the store is away."""
        while True:
            gevent.sleep(_TURN_SECONDS)
            try:
                self._gather.expire()
                self._freed_memory.turn(self._hub.count)
            except Exception as error:  # a failed turn must not be the last: late submits would wait on
                self._faults.tell("a turn of refusing late submits failed", error)

    def _put_off(self) -> None:
        if self._fitness.refusal is not None:
            return
        try:
            self._hinting.put_far_out()
        except StoreUnavailable as error:
            logger.warning("hints are not put off: the relay will publish again", extra={"reason": str(error)})
        except Exception as error:  # a failed turn must not be the last
            self._faults.tell("a turn of putting hints off failed", error)

    def _look_at_schema(self) -> None:
        try:
            self._fitness.look()
        except StoreUnavailable:
            pass  # writing the totals, which follows, logs it
        except Exception as error:  # as above
            self._faults.tell("the schema's version cannot be checked", error)

    def _learn_key(self) -> None:
        if self._fitness.refusal is not None or not self._seal.needs_key:
            return
        try:
            self._seal.learn(self._workers.event_key())
        except StoreUnavailable:
            pass  # writing the totals, which follows, logs it
        except Exception as error:  # as above
            self._faults.tell("the key of the events cannot be read", error)

    def _count(self, ends: bool = False) -> None:
        if self._fitness.refusal is not None:
            return
        try:
            self._presence()
            self._workers.count(self._process_id, "api", self._node_name, self._totals, ends)
        except StoreUnavailable as error:
            logger.warning("totals are not written", extra={"reason": str(error)})
        except Exception as error:  # as above
            self._faults.tell("totals cannot be written", error)
