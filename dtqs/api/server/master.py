"""The API's master process: gunicorn's arbiter, whose processes serve on with the checked configuration whatever the files on disk become.

`python -m dtqs.api.server.master` runs it; `dtqs api` has checked the configuration before. gunicorn ends the whole server when one process cannot boot,
and at a reload with a bad file. Here a reload is checked in a fresh process first, and a boot that fails later is tried again after a backoff.
"""

import mmap
import os
import random
import struct
import sys
import time
from typing import Any

from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from dtqs.api.access.secret import api_secret, file_fault
from dtqs.api.server.checking import ConfigCheck
from dtqs.api.server.service import ServiceReports
from dtqs.config import Config
from dtqs.resources import resource
from dtqs.systemd import Notifier

_BACKOFF_SECONDS, _BACKOFF_LIMIT_SECONDS = 1.0, 30.0
_FAULTS_LIMIT = 20
"""Boots that fail in one turn of the arbiter, at most: one for each process."""
_AT = struct.Struct("d")


class Served:
    """Shared memory that tells the master when one of its processes was ready last; made before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _AT.size)

    def ready(self) -> None:
        """Say in a worker process that it serves."""
        _AT.pack_into(self._memory, 0, time.monotonic())

    @property
    def at(self) -> float:
        """The monotonic time of the last one; 0.0: none yet."""
        return float(_AT.unpack_from(self._memory)[0])


class ApiMaster(Application):  # type: ignore[misc]
    """Runs on gunicorn. Each worker process takes the checked `config`, and the `secret` that signs, from here and not from the disk."""

    cfg: Any
    config: Config
    secret: bytes

    def __init__(self) -> None:
        self.served = Served()
        super().__init__()

    def load_config(self) -> None:
        config = self.load_config_from_file(str(resource("conf/gunicorn.conf.py")))["loaded"]
        self.config, self.secret = config, api_secret(config)

    def load(self) -> Any:
        from dtqs.api.server.wsgi import application  # after the fork: gevent patches what it imports

        return application

    def reload(self) -> None:
        before = self.cfg, self.config, self.secret
        try:
            super().reload()
        except SystemExit:  # the file has changed once more since its check
            self.cfg, self.config, self.secret = before

    def run(self) -> None:
        Master(self).run()


class Master(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter with two judgements of our own: when to reload, and when a failed boot ends the server."""

    app: ApiMaster

    def __init__(self, app: ApiMaster) -> None:
        super().__init__(app)
        # for USR2, which runs this again
        self.START_CTX["args"] = [sys.executable, "-P", "-m", "dtqs.api.server.master"]
        self._check: ConfigCheck | None = None
        self._service = ServiceReports(Notifier.from_environment(os.environ))
        self._faults, self._fault_at, self._spawn_at = 0, 0.0, 0.0

    def setup(self, app: ApiMaster) -> None:
        """Take the configuration over, at the start and at a reload."""
        super().setup(app)
        if fault := file_fault(app.config):
            self.log.warning("%s; %s", fault.found, fault.advice)

    def handle_hup(self) -> None:
        """Begin to check the configuration and the processors on disk; a check that runs already begins anew."""
        self._end_check()
        self._check = ConfigCheck()

    def stop(self, graceful: bool = True) -> None:
        self._service.stopping()
        self._end_check()
        super().stop(graceful)

    def reap_workers(self) -> None:
        for _ in range(_FAULTS_LIMIT):
            try:
                return super().reap_workers()  # type: ignore[no-any-return]
            except HaltServer as fault:
                if not self.app.served.at:
                    raise  # nothing has ever been served: the start has failed
                self._put_off(fault)
        return None

    def manage_workers(self) -> None:
        """Look after the processes, once a second and after each signal; a check that has ended is obeyed first."""
        if self._check is not None and self._check.is_over:
            check, self._check = self._check, None
            self._obey(check.problem())
        if time.monotonic() >= self._spawn_at:
            super().manage_workers()
        self._service.turn(self.app.served.at, len(self.WORKERS))

    def _obey(self, problem: str | None) -> None:
        """Reload if nothing is wrong; else tell it, and serve on."""
        if problem is None:
            self._service.reloading()
            super().handle_hup()
        else:
            self._service.refused(problem)
            self.log.error("not reloaded, the running configuration stays: %s", problem)

    def _end_check(self) -> None:
        check, self._check = self._check, None
        if check is not None:
            check.end()

    def _put_off(self, fault: HaltServer) -> None:
        """Wait before the next process is started: longer each time, until one is ready again."""
        self._faults = 1 if self.app.served.at > self._fault_at else self._faults + 1
        self._fault_at = time.monotonic()
        seconds = min(_BACKOFF_LIMIT_SECONDS, _BACKOFF_SECONDS * 2 ** min(self._faults - 1, 10)) * random.uniform(
            0.5, 1.0
        )
        self._spawn_at = self._fault_at + seconds
        self.log.error(
            "a process could not start (%s); the others serve on, the next try is in %.1f s", fault.reason, seconds
        )


if __name__ == "__main__":
    ApiMaster().run()
