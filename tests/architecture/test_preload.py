"""The API's master loads everything before it forks: nothing is opened, and gevent can still patch what it uses."""

import os
import subprocess
import sys

from tests.support.source import ROOT

_PROBE = """
import gc, os, sys
before = set(os.listdir("/proc/self/fd"))
import dtqs.cli.api
from dtqs.config import load
dtqs.cli.api.patch_for_imports()
import dtqs.cli.serving
from dtqs.processors.catalog import Catalog
from dtqs.store.driver.preload import preload
from dtqs.store.driver.statements import statement
from gevent import monkey
from gevent._hub_local import get_hub_if_exists
Catalog.load(load(None, {}))
preload()
assert statement.cache_info().currsize > 100, "statements are not loaded"
assert get_hub_if_exists() is None, "gevent's loop is open"
assert len(os.listdir("/proc/self/task")) == 1, "a thread runs"
assert set(os.listdir("/proc/self/fd")) == before, "a file is open"

PATCHED = "os", "queue", "signal", "socket", "subprocess"
real = {f"{name}.{key}": value for name in PATCHED for key, value in vars(sys.modules[name]).items()}
monkey.patch_all()
real = {
    key: value
    for key, value in real.items()
    if callable(value) and getattr(sys.modules[key.split(".")[0]], key.split(".")[1]) is not value
}
assert {"os.fork", "socket.socket", "queue.SimpleQueue", "subprocess.Popen", "signal.signal"} <= real.keys()
# dns.resolver keeps them for a function that nobody calls, which replaces the resolver of the system
STANDARD = {*sys.stdlib_module_names, "gevent", "__main__", "dns"}
taken = [
    f"{module}: {key}"
    for key, value in real.items()
    for holder in gc.get_referrers(value)
    if isinstance(holder, dict)
    and (module := str(holder.get("__name__") or holder.get("__module__") or "")).split(".")[0] not in {*STANDARD, ""}
]
for base in [value for value in real.values() if isinstance(value, type)]:
    taken += [f"{each.__module__}.{each.__name__}: a subclass" for each in base.__subclasses__()
              if each.__module__.split(".")[0] not in STANDARD]
print("\\n".join(sorted(taken)), end="")
"""


def test_the_load_before_the_fork_opens_nothing_and_takes_no_name_that_is_patched_later() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _PROBE],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
