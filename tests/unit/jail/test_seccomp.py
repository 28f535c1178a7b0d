"""The filter of system calls, run by an interpreter of this test, so that arm64 is checked on any machine."""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from dtqs.jail import syscalls
from dtqs.jail.seccomp import ALLOW, ERROR, KILL, Wishes, program

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FFMPEG, DECODER = Wishes(runs_program=True, has_socket=False), Wishes(runs_program=False, has_socket=True)
PID = 4711
REFUSED, UNKNOWN = ERROR | errno.EPERM, ERROR | errno.ENOSYS
THREAD = 0x003D0F00
HEADERS = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}


def judge(machine: str, wishes: Wishes, call: str | int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter as the kernel does, and return its answer."""
    numbers = {**syscalls.plain(machine), **syscalls.judged(machine), **syscalls.socket(machine)}
    number = call if isinstance(call, int) else numbers[call]
    words = {0: number, 4: MACHINES[machine] if audit is None else audit}
    for index, argument in enumerate(arguments):
        words |= {16 + 8 * index: argument & 0xFFFFFFFF, 20 + 8 * index: argument >> 32}
    return run(program(machine, wishes, PID), words)


def run(instructions: Sequence[tuple[int, int, int, int]], words: dict[int, int]) -> int:
    at = loaded = 0
    while True:
        code, yes, no, value = instructions[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            loaded = words[value]
            continue
        is_so = {0x15: loaded == value, 0x35: loaded >= value, 0x25: loaded > value, 0x45: bool(loaded & value)}[code]
        at += yes if is_so else no


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("wishes", [FFMPEG, DECODER])
def test_files_memory_and_threads_are_allowed(machine: str, wishes: Wishes) -> None:
    assert {judge(machine, wishes, name) for name in syscalls.plain(machine)} == {ALLOW}
    assert judge(machine, wishes, "clone", THREAD) == ALLOW
    assert judge(machine, wishes, "kill", PID, 6) == judge(machine, wishes, "tgkill", PID, PID + 1, 6) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_each_kind_of_process_has_its_own_calls(machine: str) -> None:
    assert (judge(machine, FFMPEG, "execve"), judge(machine, DECODER, "execve")) == (ALLOW, REFUSED)
    assert (judge(machine, FFMPEG, "sendmsg"), judge(machine, DECODER, "sendmsg")) == (REFUSED, ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_that_reach_other_processes_are_refused(machine: str) -> None:
    allowed = set(syscalls.plain(machine)) | set(syscalls.judged(machine)) | set(syscalls.socket(machine))
    assert not allowed & {
        "socket",
        "connect",
        "bind",
        "fork",
        "vfork",
        "ptrace",
        "unshare",
        "setns",
        "mount",
        "bpf",
        "keyctl",
        "io_uring_setup",
        "symlinkat",
    }
    fork = 0x01200011
    for call, *arguments in (
        ("clone", fork),
        ("clone", THREAD | 0x10000000),
        ("kill", PID - 1, 9),
        ("kill", 0xFFFFFFFF, 9),
        ("tgkill", PID - 1, PID, 9),
    ):
        assert judge(machine, FFMPEG, call, *arguments) == REFUSED, (call, arguments)
    for call, number in (("fcntl", 8), ("fcntl", 10), ("fcntl", 15), ("ioctl", 0x5412)):
        assert judge(machine, FFMPEG, call, 0, number) == REFUSED
    for call, first in (("prctl", 1), ("prctl", 4), ("prlimit64", PID - 1), ("sched_setaffinity", PID - 1)):
        assert judge(machine, FFMPEG, call, first, 0) == REFUSED


@pytest.mark.parametrize("machine", MACHINES)
def test_no_open_cuts_a_file_without_the_right_to_write(machine: str) -> None:
    opens = {"openat": (0, 0)} | ({"open": (0,)} if machine == "x86_64" else {})
    created = os.O_CREAT | os.O_TRUNC
    for call, before in opens.items():
        for flags in (3, 3 | os.O_TRUNC, 3 | os.O_CLOEXEC, os.O_TRUNC, os.O_RDONLY | created, 1 << 32 | os.O_TRUNC):
            assert judge(machine, FFMPEG, call, *before, flags) == REFUSED, (call, flags)
        for flags in (0, os.O_CREAT, os.O_PATH, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | created, os.O_RDWR | created):
            assert judge(machine, DECODER, call, *before, flags) == ALLOW, (call, flags)
    assert judge(machine, FFMPEG, "openat2") == UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
def test_newer_calls_are_answered_as_unknown_so_that_libraries_fall_back(machine: str) -> None:
    assert judge(machine, FFMPEG, "clone3") == UNKNOWN
    assert judge(machine, FFMPEG, 457) == judge(machine, FFMPEG, 0x3FFFFFFF) == UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_processor_end_the_process(machine: str) -> None:
    for audit in (0x40000003, 0x40000028, *(word for name, word in MACHINES.items() if name != machine)):
        assert judge(machine, FFMPEG, 0, audit=audit) == KILL
    x32 = 0x40000000
    assert judge(machine, FFMPEG, x32 | 1) == (KILL if machine == "x86_64" else UNKNOWN)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_call_numbers_equal_the_kernels_headers(machine: str) -> None:
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"no {header}: install linux-libc-dev")
    text = header.read_text(encoding="utf-8")
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    ours = {**syscalls.plain(machine), **syscalls.judged(machine), **syscalls.socket(machine)}
    other_names = {"newfstatat": "fstatat"} if machine == "aarch64" else {}
    told = {name: known.get(other_names.get(name, name)) for name in ours}
    assert {name: number for name, number in told.items() if number not in (None, ours[name])} == {}
    assert {name for name, number in told.items() if number is None} <= {"futex_wake", "futex_wait", "futex_requeue"}, (
        "the call is newer than the header"
    )
