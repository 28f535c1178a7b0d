"""The API's master: gunicorn's arbiter, hardened. It has loaded the application, so its processes share the memory.

For a reload it checks the files in a fresh process, then executes the program on disk in its own process, since loaded
code cannot be loaded again. gunicorn would end if one process cannot boot; this master tries again after a backoff."""

import gc
import mmap
import os
import random
import struct
import time
from typing import Any

from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.sock import create_sockets

from dtqs import log, sink
from dtqs.api.access.secret import api_secret, file_fault
from dtqs.api.server.checking import ConfigCheck
from dtqs.api.server.gunicorn_private import set_restart_command
from dtqs.api.server.handover import FORMAT, ApiHandover, let_signals_through, signals_held
from dtqs.api.server.listening import PortTaken, refuse_open_listeners, refuse_taken_port
from dtqs.api.server.service import ServiceReports, is_socket_activated
from dtqs.api.server.wsgi import application
from dtqs.config import ApiSection, Config, load
from dtqs.config_file import find
from dtqs.errors import ConfigError
from dtqs.files.unfinished import clear
from dtqs.own_program import execute, own_command
from dtqs.processors.catalog import Catalog
from dtqs.resources import resource
from dtqs.systemd import Notifier

_BACKOFF_SECONDS, _BACKOFF_LIMIT_SECONDS = 1.0, 30.0
_FAULTS_LIMIT = 20
"""Most failed boots in one turn of the arbiter: one for each process."""
_AT = struct.Struct("d")
_LAST_WORDS_SECONDS = 1.0
"""Time that a slow reader of the log gets before an execution."""
_SILENT_SECONDS = 120.0
"""Time for the next program to load, in which nobody pings the service manager."""


class Served:
    """The time when a process became ready last, in memory shared with the master; made before the fork."""

    def __init__(self, at: float = 0.0) -> None:
        self._memory = mmap.mmap(-1, _AT.size)
        _AT.pack_into(self._memory, 0, at)

    def ready(self) -> None:
        """Note, in an API process, that it serves."""
        _AT.pack_into(self._memory, 0, time.monotonic())

    @property
    def at(self) -> float:
        """The monotonic time when a process became ready last; 0.0 before the first."""
        return float(_AT.unpack_from(self._memory)[0])


class ApiMaster(Application):  # type: ignore[misc]
    """The gunicorn application. Its processes take config, secret and catalog from it, not from disk."""

    cfg: Any
    config: Config
    secret: bytes

    def __init__(self, catalog: Catalog, handover: ApiHandover | None) -> None:
        self.catalog, self.handover = catalog, handover
        self.served = Served(handover.served_at if handover else 0.0)
        self.is_activated = handover.is_activated if handover else is_socket_activated()
        super().__init__()

    def load_config(self) -> None:
        config = self.load_config_from_file(str(resource("conf/gunicorn.conf.py")))["loaded"]
        self.config, self.secret = config, api_secret(config)

    def load(self) -> Any:
        return application

    def run(self) -> None:
        Master(self).run()


class Master(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter with its own decisions on reloads and failed boots."""

    app: ApiMaster

    def __init__(self, app: ApiMaster) -> None:
        super().__init__(app)
        set_restart_command(self, own_command())
        self._check: ConfigCheck | None = None
        self._notifier = Notifier.from_environment(os.environ)
        self._service = ServiceReports(self._notifier)
        self._faults, self._fault_at, self._spawn_at = 0, 0.0, 0.0
        self._is_approved = False
        self._old: frozenset[int] = frozenset()

    def start(self) -> None:
        """Begin, with the sockets and the processes of the program before, if there was one."""
        self._clear_files()
        if before := self.app.handover:
            self._take_over(before)
        super().start()
        let_signals_through()
        # nothing of the start is garbage, and a collection would copy every page that the processes share
        gc.freeze()
        gc.enable()

    def _take_over(self, before: ApiHandover) -> None:
        self._notifier.end_silence()
        self._notifier.was_ready = before.was_ready
        self._service.reloading()
        self.WORKERS = before.adopted()
        self._old = frozenset(self.WORKERS)
        self.systemd = before.is_activated
        if before.is_activated or before.bind == self.cfg.bind:
            self.LISTENERS = create_sockets(self.cfg, self.log, before.listeners)
        else:
            for descriptor in before.listeners:
                os.close(descriptor)

    def setup(self, app: ApiMaster) -> None:
        """Take over the configuration, at the start and at a reload."""
        super().setup(app)
        if fault := file_fault(app.config):
            self.log.warning("%s; %s", fault.found, fault.advice)

    def handle_hup(self) -> None:
        """Start a check of the configuration and processors on disk, in place of a running one."""
        self._end_check()
        try:
            self._check = ConfigCheck()
        except OSError as error:  # the system has no process, memory or descriptor left
            self._obey(f"the check of configuration and code cannot start: {error}")

    def handle_usr2(self) -> None:
        """Start a second master beside this one, as gunicorn does."""
        try:
            super().handle_usr2()
        except OSError as error:
            self.log.error("a second master cannot start: %s; the running one stays", error)

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
        self._service.ending()  # gunicorn's wait for the processes of a stop comes here ten times a second
        before = len(self.WORKERS)
        for _ in range(_FAULTS_LIMIT):
            try:
                super().reap_workers()
                break
            except HaltServer as fault:
                if not self.app.served.at:
                    raise  # no process has ever served: the start has failed
                self._put_off(fault.reason)
        if len(self.WORKERS) < before:
            self._clear_files()

    def _clear_files(self) -> None:
        """Delete the uploads that killed processes left. Without a shared folder no keeper does it."""
        try:
            gone = clear(self.app.config.files)
        except OSError as error:  # uploads themselves tell of a fault of the disk
            self.log.warning("unfinished uploads stay: %s", error)
            return
        if gone:
            self.log.info("unfinished uploads of processes that have ended are deleted: %s", gone)

    def manage_workers(self) -> None:
        """Act on a finished check, then manage the processes. It runs every second and after each signal."""
        if self._check is not None and self._check.is_over:
            check, self._check = self._check, None
            problem = check.problem()
            for words in check.warnings:
                self.log.warning("reload: %s", words)
            self._obey(problem or self._problem_now())
        if self._is_approved:
            self._execute()
        if time.monotonic() >= self._spawn_at:
            self._renew_or_manage()
        self._service.turn(self.app.served.at, len(self.WORKERS))

    def _renew_or_manage(self) -> None:
        """After a reload keep the old processes until a new one is ready: gunicorn would end them at once."""
        if self._old and self.app.handover and self.app.served.at <= self.app.handover.served_at:
            self._spawn(self.num_workers - len(self.WORKERS.keys() - self._old))
        else:
            self._old = frozenset()
            super().manage_workers()

    def spawn_workers(self) -> None:
        """Start the missing processes. gunicorn would sleep between them, and here that opens gevent's loop."""
        self._spawn(self.num_workers - len(self.WORKERS))

    def _spawn(self, count: int) -> None:
        """Start processes until one must be put off. Raises OSError if none has ever served: the start has failed."""
        os.umask(mask := os.umask(0o077))
        for _ in range(count):
            try:
                self.spawn_worker()
            except OSError as error:
                os.umask(mask)  # gunicorn changes it around the file that fails
                if not self.app.served.at:
                    raise
                self._put_off(str(error))
                return

    def _obey(self, problem: str | None) -> None:
        """Reload if the check found no problem; otherwise log the problem and keep serving."""
        self._is_approved = problem is None
        if problem is not None:
            self._service.refused(problem)
            self.log.error("not reloaded, the running configuration stays: %s", problem)

    def _execute(self) -> None:
        """Go on as the program on disk. This returns only if that fails, or if signals wait: they come first."""
        with signals_held():
            if not self.SIG_QUEUE.empty():
                return
            self._is_approved = False
            self.log.info("reload: executing the code on disk")
            self._service.reloading()
            self._notifier.allow_silence(_SILENT_SECONDS)
            sink.finish(_LAST_WORDS_SECONDS)
            state = self._handover()
            try:
                execute(state.write(), state.descriptors, self._notifier.environment)
            except OSError as error:
                self._notifier.end_silence()
                self._obey(f"the code on disk cannot be executed: {error}")

    def _handover(self) -> ApiHandover:
        return ApiHandover(
            FORMAT,
            os.getpid(),
            [listener.fileno() for listener in self.LISTENERS],
            self.cfg.bind,
            self.app.is_activated,
            {str(pid): worker.tmp.fileno() for pid, worker in self.WORKERS.items()},
            self.app.served.at,
            self._notifier.was_ready,
        )

    def _problem_now(self) -> str | None:
        """Return what has become wrong since the check, and what it does not look at."""
        try:
            config = load(find())
            api_secret(config)
            return self._problem_of_place(config.api)
        except (ConfigError, OSError) as error:
            return str(error)

    def _problem_of_place(self, new: ApiSection) -> str | None:
        """Return why the next program could not listen. It would end, and the service with it. Raises ConfigError."""
        now = self.app.config.api
        if self.app.is_activated:
            refuse_open_listeners(new.auth, [listener.fileno() for listener in self.LISTENERS])
            return None
        if (new.host, new.port) == (now.host, now.port):
            return None
        try:
            refuse_taken_port(new.host, new.port)
        except PortTaken as error:
            if new.port == now.port:  # the old processes hold it until the new ones serve
                return (
                    f"[api] host = {new.host}: port {new.port} is in use there, perhaps by this API itself (host ="
                    f" {now.host}): if no other program has it, restart the API to change the host"
                )
            return str(error)
        return None

    def _end_check(self) -> None:
        check, self._check = self._check, None
        if check is not None:
            check.abandon()

    def _put_off(self, reason: str) -> None:
        """Delay the start of the next process, longer each time until one becomes ready."""
        self._faults = 1 if self.app.served.at > self._fault_at else self._faults + 1
        self._fault_at = time.monotonic()
        seconds = min(_BACKOFF_LIMIT_SECONDS, _BACKOFF_SECONDS * 2 ** min(self._faults - 1, 10)) * random.uniform(
            0.5, 1.0
        )
        self._spawn_at = self._fault_at + seconds
        self.log.error(
            "a process could not start (%s); the others keep serving, the next try is in %.1f s", reason, seconds
        )
