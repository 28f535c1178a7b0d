"""The program of a template: it imports a command's code, and starts the command in a fork for each request.

A guardian, the parent of each command, waits for it and reports how it ended. Nothing but the standard library is
imported beside the command's own code.
"""

import array
import gc
import importlib
import json
import os
import socket
import sys
from typing import Any

_REQUEST_BYTES = 1 << 17
_IMPORTS = {
    "api": ("dtqs.cli.api", "dtqs.cli.serving", "dtqs.api.server.app", "dtqs.api.server.wsgi"),
    "supervisor": ("dtqs.cli.supervisor",),
}
_fork = os.fork  # before gevent patches it


def serve(name: str, line: socket.socket) -> None:
    """Answer requests until the socket ends. Return in each started command, which then runs."""
    while True:
        request, ancillary, _, _ = line.recvmsg(_REQUEST_BYTES, socket.CMSG_SPACE(8))
        if not request:
            os._exit(0)
        log, report = array.array("i", ancillary[0][2])
        reader, writer = os.pipe()
        guardian = _fork()
        if guardian == 0:
            line.close()
            os.close(reader)
            if _guard(report, writer):
                os.close(report)
                _become(name, json.loads(request), log)
                return
        for descriptor in (log, report, writer):
            os.close(descriptor)
        with os.fdopen(reader, "rb") as pid:
            line.send(pid.read())
        _bury()


def _guard(report: int, pid_writer: int) -> bool:
    """Fork the command, tell its pid, and report its end. Return True in the command."""
    die_with_parent()
    pid = _fork()
    if pid == 0:
        die_with_parent()
        os.close(pid_writer)
        return True
    os.write(pid_writer, str(pid).encode())
    os.closerange(3, report)
    os.closerange(report + 1, 1024)
    _, status = os.waitpid(pid, 0)
    os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _bury() -> None:
    """Reap guardians that have ended."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def _become(name: str, request: dict[str, Any], log: int) -> None:
    """Give this process what a start of the command gives it."""
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = list(dict.fromkeys([request["folder"], *filter(None, paths), *sys.path[1:]]))
    importlib.invalidate_caches()
    sys.argv = [sys.modules["dtqs.__main__"].__file__ or "", name]
    sys.orig_argv = [sys.executable, "-m", "dtqs", name]


gc.disable()  # as the command does
command = importlib.import_module("dtqs.__main__")
from dtqs.prctl import die_with_parent  # noqa: E402

if sys.argv[1] == "api":
    importlib.import_module("dtqs.api.server.patching").patch_for_imports()
for module in _IMPORTS[sys.argv[1]]:
    importlib.import_module(module)
# it finds the place of the title by the environment, which each command replaces
importlib.import_module("setproctitle").getproctitle()
serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
command.run()
