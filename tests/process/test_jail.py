"""The jail from inside: a program in place of ffmpeg, and code in place of the decoder's work, tries to get out."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dtqs.errors import JailNotEntered, JailUnavailable, PermanentError, TransientError
from dtqs.jail import Jail, Mode, Offer, jail, kernel, landlock, offer, privileges, seccomp
from dtqs.jail.linux import CLONE_NEWUSER, LANDLOCK_CREATE_RULESET, no_new_privileges
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from dtqs.processors.video import verify
from dtqs.processors.video.ffmpeg import Ffmpeg
from dtqs.processors.video.launch import Bounds
from tests.support import attacks
from tests.support.fix_images import quarters, saved
from tests.support.fix_processors import Attempt

ATTACKS = Path(attacks.__file__).read_text(encoding="utf-8")
PYTHON = os.path.realpath(sys.executable)
BOUNDS = Bounds(4 << 30, 60, 1 << 30, 30.0)
Endings = Mapping[str, str]
NOBODY = 65534
PR_SET_DUMPABLE = 4


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The surroundings of a worker: its configuration, another task's file, listening servers and another process."""
    with ExitStack() as stack:
        yield prepared(tmp_path, stack)


def prepared(folder: Path, stack: ExitStack) -> dict[str, Any]:
    for name in ("state", "other-task", "work"):
        (folder / name).mkdir()
    secret, other = folder / "state" / "dtqs.ini", folder / "other-task" / "film.mp4"
    source = folder / "state" / "source.mp4"
    source.write_text("the task's")
    secret.write_text("[postgresql]\ndsn = postgresql://dtqs:sesame@localhost/dtqs\n")
    other.write_text("another task's")
    victim = stack.enter_context(subprocess.Popen(["sleep", "100"]))
    stack.callback(victim.kill)
    listeners = [
        stack.enter_context(socket.socket(family)) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_UNIX)
    ]
    abstract = f"dtqs-test-{os.getpid()}"
    addresses: list[Any] = [("127.0.0.1", 0), str(folder / "s"), "\0" + abstract]
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen(64)
    return {
        "secret": str(secret), "other": str(other), "source": str(source), "work": str(folder / "work"),
        "parent": os.getpid(), "victim": victim.pid, "tcp": listeners[0].getsockname(), "unix": str(folder / "s"),
        "abstract": abstract,
    }  # fmt: skip


def as_ffmpeg(targets: Mapping[str, Any], jail: Jail, python: str = PYTHON) -> Endings:
    """Start the attacker as the product starts ffmpeg."""
    command = [python, "-I", "-S", "-c", ATTACKS, json.dumps(targets)]
    with open(targets["source"], "rb") as source:
        endings: Endings = json.loads(Ffmpeg(Path(targets["work"]), BOUNDS, jail).ask(command, [source]))
    return endings


def succeeded(endings: Endings) -> set[str]:
    return {name for name, end in endings.items() if end == "done" and not name.startswith("in its own folder")}


def works(endings: Endings) -> bool:
    return all(end == "done" for name, end in endings.items() if name.startswith("in its own folder"))


def test_without_a_jail_each_attempt_succeeds(targets: dict[str, Any]) -> None:
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-c", ATTACKS, json.dumps(targets)], capture_output=True, check=True, timeout=60
    )
    endings = json.loads(done.stdout)
    assert {name: end for name, end in endings.items() if end != "done" and not name.startswith("call ")} == {}


def test_every_attempt_of_a_program_in_place_of_ffmpeg_fails(targets: dict[str, Any]) -> None:
    endings = as_ffmpeg(targets, Jail("required"))
    assert succeeded(endings) == set()
    assert works(endings), endings
    assert {endings[f"call {name}"] for name in attacks.PRIVILEGED} == {"EPERM"}


def test_every_attempt_of_the_decoder_fails(
    targets: dict[str, Any], attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the attacks in the decoder's process, in place of its work on an image."""
    modules = tmp_path / "site-packages"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(
        "import json\n"
        "from dtqs.processors.image.work import Work\n"
        f"attacks = {{'__name__': 'attacks'}}\nexec({ATTACKS!r}, attacks)\n"
        "from dtqs.errors import PermanentError\n"
        "def run(self):\n"
        f"    raise PermanentError(json.dumps(attacks['tried']({targets!r})))\n"
        "Work.run = run\n"
    )
    monkeypatch.syspath_prepend(modules)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "picture.png").write_bytes(saved(quarters(), "png"))
    image = ImageProcessor(ImageSettings())
    payload = ImagePayload.model_validate({"source": f"file:{tmp_path}/sources/picture.png"})
    try:
        with attempt.context().open_input(payload.source) as file, pytest.raises(PermanentError) as refused:
            image._process.run(payload, {payload.source: file}, lambda *_: None, Jail("required"))
    finally:
        image.close()
    endings = json.loads(str(refused.value))
    assert succeeded(endings) == set()
    in_folder = {name for name in endings if name.startswith("in its own folder") and "kill" not in name}
    assert {endings[name] for name in in_folder} <= {"EACCES"}, "the decoder has no folder"


FILES = {
    "read the configuration",
    "read another task's file",
    "list the state folder",
    "write outside",
    "make a file outside",
    "move a file outside",
}
PROCESSES = {"fork", "slow another process", "pin another process", "limit another process", "outlive the worker"}


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user, the result depends on the user's namespaces")
def test_seccomp_and_landlock_each_stop_their_own_attempts(targets: dict[str, Any]) -> None:
    found = offer()
    by_seccomp_alone = succeeded(as_ffmpeg(targets, Jail(found=replace(found, landlock_abi=0, namespaces=0))))
    assert by_seccomp_alone == FILES | {"list the worker's open files"}
    by_landlock_alone = succeeded(as_ffmpeg(targets, Jail(found=replace(found, has_seccomp=False, namespaces=0))))
    assert not by_landlock_alone & FILES
    assert by_landlock_alone >= {"fork", "outlive the worker"}
    assert "connect by TCP" not in by_landlock_alone or found.landlock_abi < 4


def test_a_program_gets_its_own_limits_files_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTQS_POSTGRESQL_DSN", "postgresql://dtqs:sesame@localhost/dtqs")
    look = (
        "import json, os, resource as r\n"
        "names = ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_CORE', 'RLIMIT_NOFILE')\n"
        "status = dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines())\n"
        "limits = {name: r.getrlimit(getattr(r, name))[1] for name in names}\n"
        "print(json.dumps([limits, sorted(os.environ), len(os.listdir('/proc/self/fd')), status]))\n"
    )
    with open(os.devnull, "rb") as kept:
        os.set_inheritable(kept.fileno(), True)
        limits, environment, open_files, status = json.loads(
            Ffmpeg(tmp_path, BOUNDS, Jail("required")).ask([PYTHON, "-I", "-S", "-c", look])
        )
    assert limits == {
        "RLIMIT_AS": 4 << 30,
        "RLIMIT_CPU": 60,
        "RLIMIT_FSIZE": 1 << 30,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 512,
    }
    assert environment == ["HOME", "LC_ALL", "PATH", "SVT_LOG"]
    assert open_files == 4, "three streams, and the listing itself"
    assert int(status["CapEff"], 16) & ~0b100 == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_threads_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "_THREADS", 20)
    monkeypatch.setattr(jail, "_THREADS_PER_CORE", 0)
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if python is None:
        pytest.skip("this machine has no python3 that every user may run")
    start = (
        "import json, resource, threading\n"
        "started = 0\n"
        "try:\n"
        "    while started < 100:\n"
        "        threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "        started += 1\n"
        "except RuntimeError: pass\n"
        "print(json.dumps([resource.getrlimit(resource.RLIMIT_NPROC), started]))\n"
    )

    def work() -> object:
        if os.geteuid() == 0:
            become_nobody()
        if not kernel.tried().namespaces & CLONE_NEWUSER:
            return None
        return json.loads(
            Ffmpeg(folder, BOUNDS, Jail("required", kernel.tried())).ask([python, "-I", "-S", "-c", start])
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, *((NOBODY, NOBODY) if os.geteuid() == 0 else (-1, -1)))
        endings = in_a_child(work)
    if endings is None:
        pytest.skip("the limit needs a user namespace, which ordinary users of this machine do not get")
    assert endings[0] == [20, 20]
    assert 10 <= endings[1] < 20


def failing(error: int) -> Callable[..., Callable[[], int]]:
    def step() -> int:
        raise OSError(error, os.strerror(error))

    return lambda *_: step


def killing(*_: object) -> Callable[[], int]:
    def step() -> int:
        os.kill(os.getpid(), signal.SIGSYS)
        return 0

    return step


@pytest.mark.parametrize(
    ("part", "module", "name"),
    [("landlock", landlock, "version"), ("seccomp", seccomp, "install"), ("", privileges, "unshare")],
)
@pytest.mark.parametrize(
    ("broken", "reason"), [(failing(errno.ENOSYS), "Function not implemented"), (killing, "killed by SIGSYS")]
)
def test_a_missing_kernel_feature_is_detected(
    part: str,
    module: ModuleType,
    name: str,
    broken: Callable[..., Any],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, broken)
    found = kernel.tried()
    assert found.missing == ((part,) if part else ())
    assert reason in found.why_not[part or "namespace"]
    Ffmpeg(tmp_path, BOUNDS, Jail("best", found)).run(["true"])
    if part:
        with pytest.raises(
            JailUnavailable, match=rf"no complete jail .*{part}: .*{reason}.* and \[files\] jail = required: "
        ):
            Ffmpeg(tmp_path, BOUNDS, Jail("required", found)).run(["true"])
    else:
        Ffmpeg(tmp_path, BOUNDS, Jail("required", found)).run(["true"])


@pytest.mark.parametrize("mode", ["best", "required"])
def test_the_failure_of_an_available_feature_is_an_error(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = offer()
    monkeypatch.setattr(seccomp, "install", failing(errno.EINVAL))
    with pytest.raises(JailNotEntered, match="could not enter its jail this time, so it did not run: a step of true"):
        Ffmpeg(tmp_path, BOUNDS, Jail(mode, found)).run(["true"])


def test_a_python_program_that_cannot_enter_the_jail_ends_in_a_transient_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path[:0] = {sys.path!r}\nfrom dtqs.jail import jail\n"
        "jail.no_new_privileges = lambda: lambda: open('/nowhere')\njail.enter(sys.argv[1])\n"
    )
    with pytest.raises(TransientError, match=r"could not begin.*could not enter its jail .*/nowhere"):
        Ffmpeg(tmp_path, BOUNDS, Jail("best")).python(script, [])


def passing(*_: object) -> Callable[[], int]:
    def step() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    return step


def hanging(*_: object) -> Callable[[], int]:
    def step() -> int:
        signal.pause()
        return 0

    return step


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(hanging, "no answer within 1 s"), (passing, "killed by SIGKILL"), (failing(errno.ENOMEM), "allocate memory")],
)
def test_a_trial_without_an_answer_is_repeated(
    broken: Callable[..., Any], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_known", [])
    monkeypatch.setattr(kernel, "_TRIAL_SECONDS", 1)
    with monkeypatch.context() as loaded:
        loaded.setattr(seccomp, "install", broken)
        with pytest.raises(JailNotEntered, match=f"it is unknown at the moment .*seccomp: .*{reason}"):
            Ffmpeg(tmp_path, BOUNDS, Jail("best")).run(["true"])
    Ffmpeg(tmp_path, BOUNDS, Jail("best")).run(["true"])
    assert offer().has_seccomp
    assert offer() is offer()


def test_images_are_refused_if_the_jail_is_required_and_incomplete(
    attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "picture.png").write_bytes(saved(quarters(), "png"))
    attempt.space.jail = "required"
    monkeypatch.setattr(kernel, "offer", lambda: Offer(0, True, 0, {"landlock": "Function not implemented"}))
    with pytest.raises(JailUnavailable, match=r"landlock: Function not implemented"):
        ImageProcessor(ImageSettings()).run(
            ImagePayload.model_validate({"source": f"file:{tmp_path}/sources/picture.png"}), attempt.context()
        )


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    attacks.prctl(PR_SET_DUMPABLE, 1)  # like a process that its user started


def in_a_child(work: Callable[[], object]) -> Any:
    """Return the result of the call in a fork of this process, as JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), open(writer, "w") as file:
            try:
                json.dump(work(), file)
            except BaseException:
                file.write(json.dumps(traceback.format_exc()))
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        endings = json.load(file)
    os.waitpid(pid, 0)
    return endings


@pytest.mark.parametrize("answer", [seccomp.ERROR | errno.EPERM, seccomp.KILL])
def test_the_jail_works_under_a_filter_that_is_already_in_force(answer: int, tmp_path: Path) -> None:
    """Install a filter as systemd and containers do: it refuses unknown calls, or ends the process that makes one."""
    unshare, newer_seccomp = {"x86_64": (272, 317), "aarch64": (97, 277)}[os.uname().machine]
    calls = (unshare, newer_seccomp, LANDLOCK_CREATE_RULESET)
    tests = [(0x15, len(calls) - at, 0, call) for at, call in enumerate(calls)]
    outer = [(0x20, 0, 0, 0), *tests, (0x06, 0, 0, seccomp.ALLOW), (0x06, 0, 0, answer)]

    def work() -> object:
        no_new_privileges()()
        seccomp.loading(outer)()
        found = kernel.tried()
        Ffmpeg(tmp_path, BOUNDS, Jail("best", found)).run(["true"])
        with pytest.raises(PermanentError, match="Cannot fork"):
            Ffmpeg(tmp_path, BOUNDS, Jail("best", found)).run(["sh", "-c", "sleep 1 & wait"])
        return [found.missing, found.has_seccomp, found.by_prctl, found.namespaces]

    assert in_a_child(work) == [["landlock"], True, True, 0]


def test_older_versions_of_landlock_protect_files_too(targets: dict[str, Any]) -> None:
    """Enforce the rules of each older version of Landlock, which a kernel also accepts."""
    for abi in range(1, offer().landlock_abi + 1):
        endings = as_ffmpeg(targets, Jail("required", replace(offer(), landlock_abi=abi)))
        assert succeeded(endings) == set(), abi
        assert works(endings), (abi, endings)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests cover this for ordinary users")
def test_the_jail_holds_an_ordinary_user() -> None:
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if python is None:
        pytest.skip("this machine has no python3 that every user may run")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def work() -> object:
            become_nobody()
            with ExitStack() as inner:
                targets = prepared(folder, inner)
                free = json.loads(
                    subprocess.run(
                        [python, "-I", "-S", "-c", ATTACKS, json.dumps(targets)], capture_output=True, check=True
                    ).stdout
                )
                return [free, as_ffmpeg(targets, Jail("required"), python)]

        os.chown(folder, NOBODY, NOBODY)
        free, endings = in_a_child(work)
    assert succeeded(free) >= FILES | PROCESSES | {
        "read the worker's environment",
        "connect by TCP",
        "kill another process",
    }
    assert succeeded(endings) == set()
    assert works(endings), endings


def test_an_image_made_by_ffmpeg_is_opened_in_the_jail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, garbage, script = tmp_path / "picture.png", tmp_path / "garbage.png", tmp_path / "taken_over.py"
    picture.write_bytes(saved(quarters(), "png"))
    garbage.write_bytes(picture.read_bytes()[:60])
    size = quarters().size
    programs = Ffmpeg(tmp_path, BOUNDS, Jail("required"))
    with picture.open("rb") as good, garbage.open("rb") as bad:
        assert verify.check_picture(programs, "poster", good, "PNG", size) == (1, 0.0)
        with pytest.raises(
            PermanentError, match="output poster was made, but is not correct: it cannot be opened again: "
        ):
            verify.check_picture(programs, "poster", bad, "PNG", size)
        with pytest.raises(PermanentError, match=f"it has {size[0]} × {size[1]} pixels, not 399 × 200"):
            verify.check_picture(programs, "poster", good, "PNG", (399, 200))
        for answer in ('{"frames": -1}', '{"frames": 1, "milliseconds": NaN}', "[" * 5000, '{"frames": 1, "more": 1}'):
            script.write_text(f"print({answer!r})")
            monkeypatch.setattr(verify, "_LOOK", script)
            with pytest.raises(PermanentError, match=r"it cannot be opened again$"):
                verify.check_picture(programs, "poster", good, "PNG", size)
