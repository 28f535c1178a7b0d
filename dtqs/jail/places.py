"""The paths that a jailed program needs: libraries, fonts, devices and facts of the kernel. They hold no secrets."""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_PROGRAMS = (
    "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/local/bin", "/usr/local/lib",
    "/usr/local/lib64", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store",
)  # fmt: skip
"""Not all of /usr: /usr/local/etc and /usr/src may contain configuration and checkouts."""
_READ = (
    "/usr/share", "/usr/local/share", "/etc/fonts", "/var/cache/fontconfig", "/etc/ld.so.cache",
    "/etc/ld.so.preload", "/etc/localtime", "/proc/cpuinfo", "/proc/meminfo", "/proc/filesystems",
    "/proc/sys/crypto/fips_enabled", "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu",
    "/sys/devices/system/node", "/dev/urandom", "/dev/random",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_PACKAGE = Path(__file__).resolve().parents[1]
_SITE = frozenset({"site-packages", "dist-packages"})


def programs(program: Path | None = None) -> tuple[Path, ...]:
    """Return the paths that may be read and run: the usual folders, and a program elsewhere with its libraries."""
    usual = tuple(Path(path) for path in _PROGRAMS)
    if program is None or any(program.is_relative_to(path) for path in usual):
        return usual
    return *usual, program, program.parent.parent / "lib", program.parent.parent / "lib64"


def read() -> tuple[Path, ...]:
    return tuple(Path(path) for path in _READ)


def devices() -> tuple[Path, ...]:
    return tuple(Path(path) for path in _DEVICES)


def python() -> tuple[Path, ...]:
    """Return the paths of Python's modules. A checkout adds only its package: its folder may hold a configuration."""
    return tuple(dict.fromkeys(Path(path) for path in _python()))


def exposed(path: Path) -> bool:
    """Tell whether a jailed process could read this path."""
    real = path.resolve()
    return any(real.is_relative_to(place.resolve()) for place in (*programs(), *read(), *python()))


def _python() -> Iterator[str | Path]:
    yield from (sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
    yield from (os.path.join(prefix, "lib") for prefix in (sys.base_prefix, sys.base_exec_prefix))
    yield from (path for path in sys.path if Path(path).name in _SITE)
    yield _PACKAGE
