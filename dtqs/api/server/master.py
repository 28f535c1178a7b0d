"""The API's master: gunicorn's arbiter, hardened. `dtqs api` checks the configuration, then runs this module.

gunicorn ends the whole server if one process cannot boot, or a reload finds a bad file. This master first checks a
reload in a fresh process, and tries a failed boot again after a backoff. Its processes keep the checked configuration.
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

from dtqs import log
from dtqs.api.access.secret import api_secret, file_fault
from dtqs.api.server.checking import ConfigCheck
from dtqs.api.server.gunicorn_private import set_restart_command
from dtqs.api.server.service import ServiceReports, is_socket_activated
from dtqs.config import Config
from dtqs.resources import resource
from dtqs.systemd import Notifier

_BACKOFF_SECONDS, _BACKOFF_LIMIT_SECONDS = 1.0, 30.0
_FAULTS_LIMIT = 20
"""Most failed boots in one turn of the arbiter: one for each process."""
_AT = struct.Struct("d")


class Served:
    """The time when a process became ready last, in memory shared with the master; made before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _AT.size)

    def ready(self) -> None:
        """Note, in an API process, that it serves."""
        _AT.pack_into(self._memory, 0, time.monotonic())

    @property
    def at(self) -> float:
        """The monotonic time when a process became ready last; 0.0 before the first."""
        return float(_AT.unpack_from(self._memory)[0])


class ApiMaster(Application):  # type: ignore[misc]
    """The gunicorn application. Its processes take the checked `config` and the `secret` from it, not from disk."""

    cfg: Any
    config: Config
    secret: bytes

    def __init__(self) -> None:
        self.served = Served()
        self.is_activated = is_socket_activated()
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
        except SystemExit:  # the file has changed again since its check
            self.cfg, self.config, self.secret = before
        if self.is_activated:
            # with another address gunicorn would close the socket of systemd and bind one of its own
            self.cfg.set("bind", before[0].bind)

    def run(self) -> None:
        Master(self).run()


class Master(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter with its own decisions on reloads and failed boots."""

    app: ApiMaster

    def __init__(self, app: ApiMaster) -> None:
        super().__init__(app)
        set_restart_command(self, [sys.executable, "-P", "-m", "dtqs.api.server.master"])
        self._check: ConfigCheck | None = None
        self._service = ServiceReports(Notifier.from_environment(os.environ))
        self._faults, self._fault_at, self._spawn_at = 0, 0.0, 0.0

    def setup(self, app: ApiMaster) -> None:
        """Take over the configuration, at the start and at a reload."""
        super().setup(app)
        if fault := file_fault(app.config):
            self.log.warning("%s; %s", fault.found, fault.advice)

    def handle_hup(self) -> None:
        """Start a check of the configuration and processors on disk, in place of a running one."""
        self._end_check()
        self._check = ConfigCheck()

    def handle_usr1(self) -> None:
        """Open the log file again, or make it, after a rotation. The processes follow within a second."""
        if file := log.reopen():
            self.log.info("log file opened again: %s", file)
        super().handle_usr1()

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
                    raise  # no process has ever served: the start has failed
                self._put_off(fault)
        return None

    def manage_workers(self) -> None:
        """Act on a finished check, then manage the processes. It runs every second and after each signal."""
        if self._check is not None and self._check.is_over:
            check, self._check = self._check, None
            problem = check.problem()
            for words in check.warnings:
                self.log.warning("reload: %s", words)
            self._obey(problem)
        if time.monotonic() >= self._spawn_at:
            super().manage_workers()
        self._service.turn(self.app.served.at, len(self.WORKERS))

    def _obey(self, problem: str | None) -> None:
        """Reload if the check found no problem; otherwise log the problem and keep serving."""
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
        """Delay the start of the next process, longer each time until one becomes ready."""
        self._faults = 1 if self.app.served.at > self._fault_at else self._faults + 1
        self._fault_at = time.monotonic()
        seconds = min(_BACKOFF_LIMIT_SECONDS, _BACKOFF_SECONDS * 2 ** min(self._faults - 1, 10)) * random.uniform(
            0.5, 1.0
        )
        self._spawn_at = self._fault_at + seconds
        self.log.error(
            "a process could not start (%s); the others keep serving, the next try is in %.1f s", fault.reason, seconds
        )


if __name__ == "__main__":
    ApiMaster().run()
