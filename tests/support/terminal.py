"""A real terminal for tests: tmux with its own server, in which a command runs and whose screen tests read."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.helpers import eventually


class Terminal:
    """A command in a terminal of `columns` and `rows`. A context manager."""

    def __init__(
        self, folder: Path, command: list[str], environment: Mapping[str, str], columns: int = 80, rows: int = 24
    ) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed")
        self._socket = folder / "tmux"
        # the line on the screen after the end shows the exit status
        line = f"{shlex.join(command)}; echo ended with $?; cat"
        self._environment = {**os.environ, **environment, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "test", "-x", str(columns), "-y", str(rows), line)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "test")

    def styled(self) -> str:
        """Return the screen with the escape sequences of its styles."""
        return self._tmux("capture-pane", "-p", "-e", "-t", "test")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, Down, PPage, Escape, or a character."""
        for key in keys:
            self._tmux("send-keys", "-t", "test", key)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", "test", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-t", "test", "-x", str(columns), "-y", str(rows))

    def until(self, *words: str, without: str = "", seconds: float = 15.0) -> str:
        """Wait until the screen has all these words and lacks `without`; return it."""

        def there() -> str:
            screen = self.screen()
            return screen if all(word in screen for word in words) and (not without or without not in screen) else ""

        try:
            return eventually(there, seconds, f"{words} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.screen()}") from None

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
