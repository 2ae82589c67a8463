"""A demo as tests run it: the real command in a process of its own, its lines read as they come."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx

START_S = 100.0
END_S = 5.0


class Demo:
    """`with Demo(state) as demo:` is up when it enters, and ended when it leaves. `ready` is its ready line."""

    def __init__(self, state: Path, *words: str, communes: int = 1) -> None:
        self.state = state
        self.argv = [sys.executable, "-m", "provisioning.command", "demo", "--json"]
        self.argv += ["--communes", str(communes), "--state", str(state), *words]
        self.ready: dict[str, Any] = {}
        self.stdout: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.log = state.with_name(state.name + "-stderr.log")
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()

    def start(self) -> None:
        """Run it, and wait for the ready line."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=log, text=True)
        self._reader = threading.Thread(target=self._read, args=(self.process,))
        self._reader.start()
        try:
            self.ready = self.event("ready", limit_s=START_S)
        except BaseException:
            self.kill()
            raise

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def event(self, name: str, *, limit_s: float = 30.0, **wanted: object) -> dict[str, Any]:
        """The next line of that event whose values are those wanted."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {name} within {limit_s} s\n{self.tail()}") from None
            assert line is not None, f"the demo ended\n{self.tail()}"
            self.stdout.append(line)
            event: dict[str, Any] = json.loads(line)
            if event["event"] == name and all(event.get(key) == value for key, value in wanted.items()):
                return event

    def tail(self) -> str:
        """The end of what it said on stderr and in its parts' logs."""
        texts = []
        for path in (self.log, *sorted((self.state / "logs").glob("*.log"))):
            with contextlib.suppress(OSError):
                texts.append(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-12:]))
        return "\n".join(texts)

    def pid(self, part: str, commune: int | None = 0) -> int:
        """The process id of a part when it was ready; of the province for None."""
        where = self.ready if commune is None else self.ready["communes"][commune]
        number: int = where["pids"][part]
        return number

    def running(self) -> dict[str, Any]:
        """What the demo's own file says now, restarts included."""
        line: dict[str, Any] = json.loads((self.state / "demo.json").read_text())
        return line

    def get(self, path: str, **parameters: str) -> Any:
        """The hub's answer to one request of its API."""
        headers = {"Authorization": f"Bearer {self.ready['hub']['token']}"}
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.get(self.ready["hub"]["url"] + path, params=parameters, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def items(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        """Every item of a listing, page by page."""
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = self.get(path, **parameters, **after)
            found += page["items"]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code. Fails where it takes longer than a part may."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the demo did not end within {END_S} s of {number.name}") from None

    def wait(self, limit_s: float) -> int:
        """Its exit code, once it has ended by itself."""
        assert self.process is not None
        code = self.process.wait(limit_s)
        self._close()
        return code

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._close()

    def _close(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self._reader is not None
        self._reader.join(10)
        self.process.stdout.close()
        self.process = None
        while not self._lines.empty():
            if (line := self._lines.get()) is not None:
                self.stdout.append(line)


def pids_of(ready: dict[str, Any]) -> list[int]:
    """Every process id in a ready line."""
    return [*ready["pids"].values(), *(pid for commune in ready["communes"] for pid in commune["pids"].values())]


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool], *, limit_s: float, what: str, every_s: float = 0.1) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(every_s)


def kill9(pid: int) -> None:
    """SIGKILL; a process that has gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def words_of(pid: int) -> list[str]:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def demos(state: Path, *, communes: int = 1) -> Iterator[Demo]:
    """For fixtures: one running demo."""
    with Demo(state, communes=communes) as demo:
        yield demo
