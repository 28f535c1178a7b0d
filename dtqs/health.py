"""`dtqs health`: a probe for engines. It reads the supervisor's pulse or asks the API, and imports as little as it can.

It needs no valid configuration: only the state folder, or the API's address. It names a wrong value of these.
"""

import _socket
import os
import sys
import time
from _json import encode_basestring_ascii  # the module json loads re, which costs more than the question
from collections.abc import Mapping

from dtqs.pulse import judge, pulses_by_config, read_pulses
from dtqs.trust import why_distrusted

PARTS = ("supervisor", "api", "any")
_PLACES = ("var/dtqs.ini", "/etc/dtqs/dtqs.ini")
STATE_DIR = "/var/lib/dtqs"
"""The default of `[supervisor] state_dir`."""
_SECONDS = 4.0
"""Time limit of a question to the API. /readyz answers 503 after half of it; an engine gives the probe 5 s."""
_MOST_BYTES = 65536
_NO_ANSWER = "dead: no answer"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1", "*": "127.0.0.1"}


def quick(arguments: list[str]) -> bool:
    """Print one sentence and exit with 0 (well) or 1, if the arguments of `dtqs` are a plain call of `health`.

    Return False for others: the command line, which is slow, reads them.
    """
    names, flags, config = list[str](), set[str](), None
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--config":
            config = value if equals else next(words, None)
            if config is None:
                return False
        elif word in ("--live", "--json") and names:
            flags.add(word)
        else:
            names.append(word)
    if names[:1] != ["health"] or len(names) > 2 or not set(names[1:]) <= set(PARTS):
        return False
    well, sentence = check(names[1] if names[1:] else PARTS[0], "--live" in flags, config)
    try:
        sys.stdout.write(f"{written(well, sentence, '--json' in flags)}\n")
        sys.stdout.flush()
    except OSError:  # a full disk or a gone reader: the status is the verdict, and the buffer must not change it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(os.EX_OK if well else 1)


def written(well: bool, sentence: str, as_json: bool) -> str:
    """Return what the command prints. With --json every invisible character is escaped."""
    if not as_json:
        return sentence
    reason = encode_basestring_ascii(sentence).replace("\x7f", "\\u007f")
    return f'{{\n  "healthy": {"true" if well else "false"},\n  "reason": {reason}\n}}'


def check(part: str, only_life: bool, config: str | None = None) -> tuple[bool, str]:
    """Return whether a part of this host is well, and one sentence. `any`: the supervisor if one runs, else the API.

    The sentence of a failure names a configuration file that cannot be read or is not trusted.
    """
    settings = Settings(config)
    well, sentence = _check(settings, part, only_life)
    fault = "" if well else settings.fault()  # no service starts with such a file, even if variables hold all settings
    return well, f"{sentence}; {fault}" if fault else sentence


def _check(settings: "Settings", part: str, only_life: bool) -> tuple[bool, str]:
    if part == "api":
        return _api(settings, only_life)
    state_dir = settings.get("supervisor", "state_dir", STATE_DIR)
    try:
        verdicts = [judge(pulse, only_life) for pulse in read_pulses(state_dir)]
    except OSError as error:
        verdicts, why = [], f"{error.filename or state_dir}: {error.strerror}"
    else:
        why = f"none runs with the state folder {state_dir}"
    if not verdicts:
        verdicts = _elsewhere(settings, state_dir, only_life)
    if verdicts:
        return next((verdict for verdict in verdicts if not verdict[0]), verdicts[0])
    if part == "any":
        well, sentence = _api(settings, only_life)
        nothing = not well and sentence.startswith(_NO_ANSWER)
        return well, f"dead: no supervisor ({why}), and no API" if nothing else sentence
    return False, f"dead: no supervisor ({why}); start `dtqs supervisor` or `dtqs keeper`"


def _elsewhere(settings: "Settings", state_dir: str, only_life: bool) -> list[tuple[bool, str]]:
    """Judge the supervisors that run with this file, from before another state folder was written into it.

    A variable is no edit of the file: with it, several nodes may share one file, and this one may be dead.
    """
    if not settings.place or settings.is_variable("supervisor", "state_dir"):
        return []
    found = [judge(pulse, only_life) for pulse in pulses_by_config(settings.place)]
    return [(well, f"{sentence}; state_dir = {state_dir} has effect after a restart") for well, sentence in found]


def _api(settings: "Settings", only_life: bool) -> tuple[bool, str]:
    """Ask the API's own question, as a load balancer does."""
    host, port = settings.get("api", "host", "127.0.0.1"), settings.get("api", "port", "8080")
    path = "/healthz" if only_life else "/readyz"
    if (number := _number(port)) not in range(1, 65536):
        origin = settings.origin("api", "port")
        return False, f"not asked: {origin} = {port[:80]!r} is no port from 1 to 65535; see: dtqs config check"
    try:
        reply = _ask(_ANYWHERE.get(host, host), number, path)
    except (OSError, ValueError) as error:
        return False, f"{_NO_ANSWER} of the API on {host} port {port}: {error}"
    status = reply.split(b" ", 2)[1:2]
    if status == [b"200"]:
        return True, f"{'alive' if only_life else 'ready'}: the API answers on port {port}"
    said = " ".join(reply.partition(b"\r\n\r\n")[2].decode("utf-8", "replace").split())[:500]
    return False, f"not ready: the API answers {path} with {b''.join(status).decode() or 'nothing'}: {said}"


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _ask(host: str, port: int, path: str) -> bytes:
    """Return the reply to one GET. Raises OSError.

    The module `socket` would take a third of the probe's time.
    """
    ends_at, failure = time.monotonic() + _SECONDS, OSError(f"{host} has no address")
    places = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    # the server of `localhost` may listen on 127.0.0.1, and the first address be ::1
    while places:
        # an address that swallows packets leaves time for the others, and for their answer
        seconds = (ends_at - time.monotonic()) / (1 if len(places) == 1 else len(places) + 1)
        try:
            line = _connected(places.pop(0), seconds)
        except OSError as error:
            failure = error
        else:
            return _get(line, path, ends_at)
    raise failure


def _connected(place: tuple[int, int, int, str, tuple[object, ...]], seconds: float) -> "_socket.socket":
    """Connect to one address. Raises OSError, also for a family that the kernel does not know."""
    family, kind, protocol, _, address = place
    line = _socket.socket(family, kind, protocol)
    try:
        line.settimeout(max(0.001, seconds))
        line.connect(address)
    except OSError:
        line.close()
        raise
    return line


def _get(line: "_socket.socket", path: str, ends_at: float) -> bytes:
    try:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        reply = b""
        while len(reply) < _MOST_BYTES:
            line.settimeout(max(0.001, ends_at - time.monotonic()))
            piece = line.recv(_MOST_BYTES)
            if not piece:
                break
            reply += piece
        return reply
    finally:
        line.close()


class Settings:
    """A few settings of environment and file. The services check them; here a wrong one only fails the probe."""

    def __init__(self, config: str | None, environ: Mapping[str, str] = os.environ) -> None:
        self._environ, self._faults = environ, list[str]()
        self._place = config or environ.get("DTQS_CONFIG") or self._found()
        self._lines: list[str] | None = None

    @property
    def place(self) -> str:
        """The absolute path of the file, or an empty text."""
        return os.path.abspath(self._place) if self._place else ""

    def get(self, section: str, key: str, default: str) -> str:
        """Return the value of a key: of the environment, else of the file, else the default."""
        value = self._environ.get(_variable(section, key), "").strip("\r\n")
        return value or self._of_file(section, key) or default

    def is_variable(self, section: str, key: str) -> bool:
        """Tell whether the environment has the value."""
        return bool(self._environ.get(_variable(section, key)))

    def origin(self, section: str, key: str) -> str:
        """Return the place of a value: the variable, or the key and its file."""
        if self.is_variable(section, key):
            return _variable(section, key)
        return f"[{section}] {key} in {self._place}"

    def fault(self) -> str:
        """Return why a file cannot be read or is not trusted, or an empty text."""
        self._read()
        return "; ".join(self._faults)

    def _found(self) -> str | None:
        """Return the first trusted file of the usual places, like all other commands."""
        for place in filter(os.path.isfile, _PLACES):
            why = why_distrusted(place)
            if why is None:
                return place
            self._faults.append(f"the configuration file {place} is ignored: {why}; name it with --config to trust it")
        return None

    def _of_file(self, section: str, key: str) -> str | None:
        within, found, column, is_value = False, None, 0, False
        for line in self._read():
            text = line.strip()
            if not text or text.startswith(("#", ";")):
                continue
            indent = len(line) - len(line.lstrip())
            if is_value and indent > column:  # it goes on with the value above it; no service takes such a key
                continue
            column, is_value = indent, not text.startswith("[")
            if not is_value:
                within = text.partition("]")[0] == f"[{section}"
            elif within:
                name, _, value = text.partition("=" if "=" in text.partition(":")[0] else ":")
                if name.strip().lower() == key:
                    found = value.strip()
        return found

    def _read(self) -> list[str]:
        if self._lines is None:
            self._lines = []
            try:
                with open(self._place or os.devnull, encoding="utf-8-sig") as file:
                    self._lines = file.read().splitlines()
            except (OSError, ValueError) as error:
                # the environment may hold the settings, so this alone is no failure
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                self._faults.append(f"the configuration file {self._place} cannot be read: {why}")
        return self._lines


def _variable(section: str, key: str) -> str:
    return f"DTQS_{section}_{key}".upper()
