"""The import direction of the layers, and imports without effects (STYLE: import direction)."""

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

from tests.support.source import ROOT, nodes

LAYERS = [
    {"kernel"},
    {"store", "broker", "files", "jail", "client", "tracing"},
    {"processors", "readings", "metrics", "operations"},
    {"worker", "keeper"},
    {"api", "console", "supervisor", "testing"},
    {"cli", "sandbox", "__main__"},
]
"""From the bottom up. Siblings import each other in the third and the last layer only."""
MAY_MEET = {2, 5}
KERNEL_LIBRARIES = {"httpx", "orjson", "pydantic", "pydantic_core", "annotated_types"}
FORBIDDEN = {
    "supervisor": {"psycopg", "psycopg_pool", "pika", "gevent", "threading", "multiprocessing"},
    "processors": {"psycopg", "psycopg_pool", "pika", "gevent"},
    "files": {"psycopg", "psycopg_pool", "pika", "gevent"},
    "store": {"pika", "gevent", "falcon"},
    "broker": {"psycopg", "psycopg_pool", "falcon"},
}
KNOWN_BESIDE = {f"dtqs.store.driver.{module}": {"gevent"} for module in ("cooperative", "lending")}
"""These modules decide how psycopg and its callers wait under gevent; only API processes load them."""
IMPORTED_LATE = {
    "dtqs.cli.api": {"from dtqs.cli.serving import serve"},
    "dtqs.client.calls": {"from dtqs.client.gathering import Gathering"},
    "dtqs.cli.logs": {"from dtqs.cli.all_logs import print_entries"},
    "dtqs.cli.endpoint": {"from dtqs.config import load", "from dtqs.files import FileSpace"},
    "dtqs.cli.options": {"from dtqs.config import load"},
    "dtqs.cli.output": {"from dtqs.cli.drawing import draw"},
    "dtqs.cli.wait": {"from dtqs.cli.bar import opened_bar"},
    "dtqs.files.s3_signing": {"from dtqs.files.s3_credentials import CredentialChain"},
    "dtqs.files.s3_wire": {"from dtqs.files.s3_signing import RequestSigner"},
    "dtqs.processors.email.processor": {"from dtqs.processors.email.templates import Templates"},
    "dtqs.processors.sms.processor": {
        "from dtqs.processors.sms.http import Http",
        "from dtqs.processors.sms.twilio import Twilio",
    },
    "dtqs.tracing": {"from dtqs.tracing.otel import ApiTraces", "from dtqs.tracing.otel import WorkerTraces"},
    "dtqs.sandbox.stack": {"from dtqs.sandbox import product"},
}
"""Imports that take a tenth of a second or more, and that many commands or the start of servers do not need."""
LOADED_BY_A_SERVER = {"dtqs.api.server.wsgi", "dtqs.__main__"}
"""Modules that gunicorn or `python -m` loads to run: their effect is their purpose."""
MODULES = sorted(path for path in (ROOT / "dtqs").rglob("*.py") if "_data" not in path.parts)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def package_of(module: str) -> str:
    """Return the product's package of a module; the files directly below dtqs are the kernel."""
    first = module.split(".")[1] if "." in module else ""
    return first if any(first in layer for layer in LAYERS) else "kernel"


def layer_of(package: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if package in layer)


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Return every module that a file imports, at any depth."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            below = {f"{module}.{alias.name}" for alias in node.names} & NAMES
            found |= below or {module}
    return frozenset(found)


def may_import(mine: str, theirs: str) -> bool:
    floor, their_floor = layer_of(mine), layer_of(theirs)
    return their_floor < floor or theirs == mine or (their_floor == floor and floor in MAY_MEET)


def test_a_layer_imports_only_layers_below_it() -> None:
    upwards = {
        (name_of(path), module)
        for path in MODULES
        for module in imports(path)
        if path != ROOT / "dtqs" / "__init__.py"
        and module.split(".")[0] == "dtqs"
        and not may_import(package_of(name_of(path)), package_of(module))
    }
    assert upwards == set()


def test_the_supervisor_imports_the_kernel_only() -> None:
    known = {
        package_of(module)
        for path in MODULES
        if package_of(name_of(path)) == "supervisor"
        for module in imports(path)
        if module.split(".")[0] == "dtqs"
    }
    assert known == {"kernel", "supervisor"}


def test_only_its_adapter_imports_a_driver() -> None:
    strangers = {}
    for path in MODULES:
        forbidden = FORBIDDEN.get(package_of(name_of(path)), set()) - KNOWN_BESIDE.get(name_of(path), set())
        if found := {module.split(".")[0] for module in imports(path)} & forbidden:
            strangers[name_of(path)] = found
    assert strangers == {}


def test_the_kernel_imports_the_standard_library_and_listed_packages_only() -> None:
    kernel = [path for path in MODULES if package_of(name_of(path)) == "kernel"]
    assert len(kernel) > 10
    used = {module.split(".")[0] for path in kernel for module in imports(path)}
    assert used - set(sys.stdlib_module_names) - {"dtqs"} <= KERNEL_LIBRARIES


def test_only_listed_imports_are_inside_functions() -> None:
    assert {name_of(path): found for path in MODULES if (found := hidden_imports(path))} == IMPORTED_LATE


def hidden_imports(path: Path) -> set[str]:
    functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    inner = [node for function in functions for node in ast.walk(function)]
    return {ast.unparse(node) for node in inner if isinstance(node, ast.Import | ast.ImportFrom)}


def test_imports_have_no_cycle() -> None:
    graph = {name_of(path): imports(path) & NAMES for path in MODULES}
    while graph:
        leaves = {module for module, needs in graph.items() if not (needs - {module}) & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {module: needs for module, needs in graph.items() if module not in leaves}


# --- no effect

_PROBE = """
import importlib, os, signal, sys, threading
FORBIDDEN = ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system",
    "os.mkdir", "os.remove", "os.rename", "os.putenv", "signal.")
ours = set(sys.argv[1:])
effects = []

def by_our_module(frame):
    while frame:
        code = frame.f_code
        if code.co_name == "<module>" and frame.f_globals.get("__name__", "").split(".")[0] == "dtqs":
            return frame.f_globals["__name__"]
        frame = frame.f_back

def hook(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event.startswith(FORBIDDEN) or writes:
        effects.append((event, str(arguments)[:100], by_our_module(sys._getframe(1))))

class Watched(dict):
    def _seen(self, key):
        frame = sys._getframe(2)
        if frame.f_globals.get("__name__", "").split(".")[0] == "dtqs" and by_our_module(frame):
            effects.append(("environment", key, frame.f_globals["__name__"]))
    def __getitem__(self, key):
        self._seen(key); return super().__getitem__(key)
    def get(self, key, default=None):
        self._seen(key); return super().get(key, default)

def state():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}, threading.active_count()

import numpy  # sets an environment variable and removes it again
import urllib3  # binds a socket to find out whether there is IPv6
before, fds = state(), set(os.listdir("/proc/self/fd"))
os.environ = Watched(os.environ)
sys.addaudithook(hook)
sys.dont_write_bytecode = True
for name in sorted(ours):
    importlib.import_module(name)
assert not effects, effects
assert state() == before, "a signal handler or a thread"
assert len(os.listdir("/proc/self/fd")) <= len(fds), "an open file"
"""


def test_importing_a_module_has_no_effect() -> None:
    modules = sorted(NAMES - LOADED_BY_A_SERVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *modules],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
