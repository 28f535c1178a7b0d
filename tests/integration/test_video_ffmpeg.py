"""Runs of ffmpeg: it ends with its starter and when it makes no progress, and its messages are kept short."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from dtqs.errors import PermanentError, TransientError
from dtqs.jail import Jail, Offer
from dtqs.processors.video.ffmpeg import Ffmpeg
from dtqs.processors.video.ffmpeg_output import EncodeProgress
from dtqs.processors.video.launch import Bounds
from dtqs.processors.video.stall import StallTimer
from dtqs.sandbox.processes import family
from tests.support.films import film
from tests.support.helpers import eventually
from tests.support.trial import alive, gone

ENDLESS = [
    "ffmpeg",
    "-v",
    "error",
    "-nostdin",
    "-nostats",
    "-progress",
    "pipe:1",
    "-stats_period",
    "0.1",
    "-f",
    "lavfi",
    "-i",
    "testsrc=s=64x48",
    "-f",
    "null",
    "-",
]


OPEN = Jail(found=Offer(0, False, 0, {}))
"""Without any part: the shells of these tests start programs of their own."""


class Stopped(BaseException):
    """Comes out of a signal handler, as a worker's interrupt does."""


@pytest.fixture
def programs(tmp_path: Path) -> Ffmpeg:
    return Ffmpeg(tmp_path, Bounds(4 << 30, 60, 1 << 30, 1.0), OPEN)


@pytest.fixture
def alarm() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def nothing_is_left() -> Callable[[], bool]:
    """Tell whether every child started since the test began has ended; other tests keep some of their own."""
    before = set(family(os.getpid()))
    return lambda: set(family(os.getpid())) <= before


def test_an_interrupt_kills_ffmpeg_and_its_children(
    programs: Ffmpeg, alarm: None, tmp_path: Path, nothing_is_left: Callable[[], bool]
) -> None:
    seen: list[EncodeProgress] = []

    def watch(progress: EncodeProgress) -> None:
        seen.append(progress)
        if progress.frames > 0 and not signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    with pytest.raises(Stopped):
        programs.run(["sh", "-c", 'sleep 100 & echo $! > pid; "$@"', "sh", *ENDLESS], watch=watch)
    assert nothing_is_left()
    gone([int((tmp_path / "pid").read_text())])
    assert seen[-1].frames > 0
    assert seen[-1].seconds > 0


def test_ffmpeg_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from dtqs.processors.video.ffmpeg import Ffmpeg; from "
        "dtqs.processors.video.launch import Bounds\n"
        "Ffmpeg(Path.cwd(), Bounds(4 << 30, 60, 1 << 30, 100.0)).run(['sh', '-c', 'echo $$ > pid; exec sleep 100'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as worker:
        eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"), 10, "it runs")
        pid = int((tmp_path / "pid").read_text())
        assert alive([pid]) == [pid]
        worker.kill()
    gone([pid])


def test_nothing_is_loaded_between_fork_and_exec(tmp_path: Path) -> None:
    """A thread of the worker may hold the loader's lock at the fork, and the child would wait for it without end."""
    script = (
        "import os, sys; from pathlib import Path; from dtqs.processors.video.ffmpeg import Ffmpeg; from "
        "dtqs.processors.video.launch import Bounds\n"
        "parent, told = os.getpid(), os.open('told', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "sys.addaudithook(lambda name, _: os.write(told, name.encode() + b' ') if os.getpid() != parent else None)\n"
        "Ffmpeg(Path.cwd(), Bounds(4 << 30, 60, 1 << 30, 100.0)).run(['true'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)
    told = (tmp_path / "told").read_text().split()
    assert "resource.setrlimit" in told, "the trace shows the calls of the child"
    assert [name for name in told if name == "import" or name.startswith("ctypes.dl")] == []


def test_ffmpeg_is_stopped_when_it_makes_no_frame(
    programs: Ffmpeg, tmp_path: Path, nothing_is_left: Callable[[], bool]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    began = time.monotonic()
    try:
        with pytest.raises(PermanentError, match="made no progress for 1 s"):
            programs.run(
                [
                    "ffmpeg",
                    "-v",
                    "error",
                    "-progress",
                    "pipe:1",
                    "-f",
                    "mpegts",
                    "-i",
                    str(tmp_path / "pipe"),
                    "-f",
                    "null",
                    "-",
                ]
            )
    finally:
        os.close(writer)
    assert time.monotonic() - began < 10
    assert nothing_is_left()


def test_a_run_that_delays_its_frames_lives_while_it_works(programs: Ffmpeg) -> None:
    works = [sys.executable, "-c", "import time\nwhile time.process_time() < 1.8: pass"]
    programs.run(works, holds_back=True)
    for command, holds_back in ((works, False), (["sleep", "100"], True)):
        with pytest.raises(PermanentError, match="made no progress for 1 s"):
            programs.run(command, holds_back=holds_back)


SILENT = """
import os, sys, time
descriptor = int(sys.argv[1])
end = time.monotonic() + 2.5
while time.monotonic() < end:
    {}
    time.sleep(0.1)
"""


def test_written_output_and_read_source_are_progress(programs: Ffmpeg, tmp_path: Path) -> None:
    """At the end ffmpeg moves the index of an mp4 to its front without a word: this took minutes for large files."""
    write, read = "os.pwrite(descriptor, b'again', 0)", "os.pread(descriptor, 100, 0)"
    with (tmp_path / "film").open("w+b") as file:
        for step, size in ((write, 0), (read, 1 << 30)):
            file.truncate(size)
            programs.run([sys.executable, "-c", SILENT.format(step), str(file.fileno())], [file])
        file.truncate(100)  # to read a file again and again is no progress
        with pytest.raises(PermanentError, match=r"python\S* made no progress for 1 s"):
            programs.run([sys.executable, "-c", SILENT.format(read), str(file.fileno())], [file])


def test_the_programs_for_images_live_while_they_work(programs: Ffmpeg, tmp_path: Path) -> None:
    """A long animation takes minutes to be checked, and its result comes at the end."""
    script = tmp_path / "look.py"
    script.write_text("import time\nwhile time.process_time() < 1.8: pass\nprint('seen')")
    assert programs.python(script, []) == b"seen\n"
    script.write_text("import time\ntime.sleep(100)")
    with pytest.raises(PermanentError, match=r"look\.py made no progress for 1 s"):
        programs.python(script, [])


def watched(stall: StallTimer) -> None:
    began = time.monotonic()
    while time.monotonic() - began < 10:
        stall.check(())
        time.sleep(0.02)


def test_an_encoder_may_work_in_silence_for_a_while() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        began, stall = time.monotonic(), StallTimer("ffmpeg", process.pid, (), 1, patience=2)
        with pytest.raises(PermanentError, match=r"ffmpeg made no progress for 1 s"):
            watched(stall)
        process.kill()
    assert 2 <= time.monotonic() - began < 8


def test_a_full_disk_and_a_kill_are_worth_a_retry_and_other_failures_are_not(programs: Ffmpeg, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mkv", seconds=0.2)
    with pytest.raises(TransientError, match="the disk is full"):
        programs.run(["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-c", "copy", "-f", "matroska", "/dev/full"])
    for name in ("KILL", "TERM"):
        with pytest.raises(TransientError, match=rf"sh was killed from outside \(SIG{name}\)"):
            programs.run(["sh", "-c", f"kill -{name} $$"])
    with pytest.raises(PermanentError, match="died of SIGSEGV"):
        programs.run(["sh", "-c", "kill -SEGV $$"])
    with pytest.raises(PermanentError, match=r"failed with status 1; its last lines: .*No such file"):
        programs.run(["ffmpeg", "-v", "error", "-i", "missing.mp4", "-f", "null", "-"])


def test_messages_are_kept_short_and_plain(programs: Ffmpeg) -> None:
    with pytest.raises(PermanentError) as error:
        programs.run(["sh", "-c", r"yes 'many words' | head -c 1000000 >&2; printf '\033[31mlast\n' >&2; exit 3"])
    assert len(str(error.value)) < 6000
    assert str(error.value).endswith("[31mlast")
    with pytest.raises(PermanentError, match="description of the file is longer"):
        programs.ask(["sh", "-c", "yes | head -c 20000000"])


def test_the_workers_environment_does_not_reach_ffmpeg(
    programs: Ffmpeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFREPORT", f"file={tmp_path}/report.log")
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "sesame")
    programs.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:d=0.1", "-f", "null", "-"])
    assert not (tmp_path / "report.log").exists()
    assert b"sesame" not in programs.ask(["env"])
