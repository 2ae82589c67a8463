"""A real Chromium, driven by the W3C WebDriver protocol through chromedriver, and screenshots of it."""

import base64
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.tools import find_tool, free_port

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, section 11: the key of an element reference
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One session. Selectors are CSS."""

    def __init__(self, session: httpx.Client, path: str) -> None:
        self._session = session
        self._path = path

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def reload(self) -> None:
        self._ask("POST", "/refresh", {})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def count(self, selector: str) -> int:
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def click(self, selector: str) -> None:
        """As a finger does: at the middle of the element, which must be seen there."""
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{element[_ELEMENT]}/click", {})

    def size(self, width: int, height: int) -> None:
        """Of the page itself; phones are emulated, since a window has a least width."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def until(self, script: str, *, within_s: float = 15) -> None:
        """Wait until the script's `return` is true."""
        end = time.monotonic() + within_s
        while not self.run(script):
            assert time.monotonic() < end, f"not true within {within_s} s: {script}\n{self.text('body')}"
            time.sleep(0.05)

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._session.request(method, self._path + path, json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, f"{method} {path}: {value}"
        return value


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile below `folder`."""
    port = free_port()
    driver = subprocess.Popen(
        [find_tool("chromedriver"), f"--port={port}", f"--log-path={folder / 'chromedriver.log'}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as session:
            _until_up(session)
            options = {"args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"], "binary": find_tool("chromium")}
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            made = session.post("/session", json=wanted).json()["value"]
            assert "sessionId" in made, made
            path = f"/session/{made['sessionId']}"
            try:
                yield Browser(session, path)
            finally:
                session.delete(path)
    finally:
        driver.terminate()
        driver.wait(10)


def _until_up(session: httpx.Client) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            if session.get("/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            assert time.monotonic() < end, "chromedriver does not answer"
        time.sleep(0.05)
