"""A headless Chromium, driven through its debugging pipe without a driver or library. Every wait has a limit."""

import base64
import itertools
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from tests.support.helpers import PATIENCE, eventually

NAMES = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")
_ANSWER_SECONDS = 20.0
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--hide-scrollbars", "--remote-debugging-pipe", "--window-size=1280,900",
)  # fmt: skip


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A Chromium process with its own profile, and the pages in it."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="dtqs-browser-")
        commands, self._writing = os.pipe()
        self._reading, answers = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4. It must die with a test run that is killed.
        script = f'exec setpriv --pdeathsig KILL -- "$0" "$@" 3<&{commands} 4>&{answers}'
        command = ["bash", "-c", script, program, *_ARGUMENTS, f"--user-data-dir={self._profile}"]
        self._process = subprocess.Popen(
            command,
            pass_fds=[commands, answers],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        with suppress(OSError, ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait(10)
        os.close(self._writing)
        os.close(self._reading)
        shutil.rmtree(self._profile, ignore_errors=True)

    def page(self, url: str, width: int = 1280, height: int = 900) -> "Page":
        """Open a page in its own browser context, which shares no cookies with others."""
        return self.tab(self.send("Target.createBrowserContext")["browserContextId"], url, width, height)

    def tab(self, context: str, url: str, width: int = 1280, height: int = 900) -> "Page":
        """Open a page in a browser context. All its pages share cookies, and six connections to a server."""
        target = self.send(
            "Target.createTarget", {"url": "about:blank", "browserContextId": context, "width": width, "height": height}
        )["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, context)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        page.go(url)
        return page

    def send(
        self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """Send a command and return its answer; keep the events that arrive meanwhile."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters or {}}
        os.write(self._writing, orjson.dumps(message | ({"sessionId": session} if session else {})) + b"\0")
        deadline = time.monotonic() + PATIENCE * _ANSWER_SECONDS
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            if "method" in answer:
                self.events.append(answer)

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the browser did not answer {what} in time"
            piece = os.read(self._reading, 1 << 20)
            assert piece, "the browser ended"
            self._unread += piece
        whole, _, self._unread = self._unread.partition(b"\0")
        return dict(orjson.loads(whole))


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser, self._session, self.context = browser, session, context

    def close(self) -> None:
        """Close the page and its browser context."""
        self._browser.send("Target.disposeBrowserContext", {"browserContextId": self.context})

    def send(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._browser.send(method, parameters, self._session)

    def tab(self, url: str) -> "Page":
        """Open another page beside this one, with the same login."""
        return self._browser.tab(self.context, url)

    def go(self, url: str) -> None:
        self.send("Page.navigate", {"url": url})
        eventually(lambda: self.run("document.readyState") == "complete", 10, f"{url} is loaded")

    def run(self, script: str) -> Any:
        """Evaluate an expression; await it if it is a promise."""
        answer = self.send("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """Return the visible text of the first element of a selector, or an empty text if no element matches."""
        return str(self.run(f"document.querySelector({_quoted(selector)})?.innerText ?? ''"))

    def count(self, selector: str) -> int:
        return int(self.run(f"document.querySelectorAll({_quoted(selector)}).length"))

    def wait(self, selector: str, words: str = "", seconds: float = 10.0) -> None:
        """Wait for an element that contains these words."""
        try:
            eventually(
                lambda: self.count(selector) and words in self.text(selector), seconds, f"{words!r} in {selector}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; the page: {self.text()[-1500:]}") from None

    def click(self, selector: str) -> None:
        self.wait(selector)
        self.run(f"document.querySelector({_quoted(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        """Focus a field and insert text as a keyboard does."""
        self.wait(selector)
        self.run(f"document.querySelector({_quoted(selector)}).focus()")
        self.send("Input.insertText", {"text": text})

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select."""
        self.wait(selector)
        script = (
            "const s = document.querySelector(%s); s.value = %s; s.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        self.run(f"{{{script % (_quoted(selector), _quoted(value))}}}")

    def give_file(self, selector: str, path: Path) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self.send("DOM.setFileInputFiles", {"nodeId": node, "files": [str(path)]})

    def complaints(self) -> list[str]:
        """Return the errors of the page's console: messages, exceptions and violations of the content policy."""
        self.run("0")
        found = []
        for event in [one for one in self._browser.events if one.get("sessionId") == self._session]:
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"].get("exception", parameters["exceptionDetails"])))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        return found

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the page and the preferred colour scheme."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.send("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def picture(self, path: Path, whole: bool = True) -> None:
        answer = self.send("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(answer["data"]))


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
