"""A terminal for tests: tmux on a server of its own, so that a screen is drawn for real and can be read back."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools import find_tool


class Terminal:
    """One window of one tmux server."""

    def __init__(self, socket: Path, columns: int, rows: int, term: str) -> None:
        self._tmux = [find_tool("tmux"), "-S", str(socket), "-f", "/dev/null"]
        self._size = ("-x", str(columns), "-y", str(rows))
        self._term = term

    def start(self, command: list[str]) -> None:
        """Run it in the window, and nothing else; the window stays when it ends."""
        self._run(
            *(
                "start-server",
                ";",
                "set",
                "-g",
                "default-terminal",
                self._term,
                ";",
                "set",
                "-g",
                "remain-on-exit",
                "on",
            ),
            *(";", "new-session", "-d", "-s", "t", *self._size, *command),
        )

    def text(self) -> str:
        """What stands in the window now."""
        return self._run("capture-pane", "-p", "-t", "t")

    def keys(self, *names: str) -> None:
        """Press keys."""
        self._run("send-keys", "-t", "t", *names)

    def tty(self) -> str:
        """The window's terminal device."""
        return self._run("display-message", "-p", "-t", "t", "#{pane_tty}").strip()

    def ended_with(self, *, within_s: float = 20) -> int:
        """The exit code of the command, once it has ended."""
        end = time.monotonic() + within_s
        while not (told := self._run("display-message", "-p", "-t", "t", "#{?pane_dead,#{pane_dead_status},}").strip()):
            assert time.monotonic() < end, f"not ended within {within_s} s:\n{self.text()}"
            # tmux 3.3 now and then misses the signal that a child has ended, and would never collect it.
            os.kill(int(self._run("display-message", "-p", "#{pid}")), signal.SIGCHLD)
            time.sleep(0.05)
        return int(told)

    def wait_for(self, holds: Callable[[str], bool], *, within_s: float = 20) -> str:
        """The text of the window once `holds(text)`."""
        end = time.monotonic() + within_s
        while not holds(text := self.text()):
            assert time.monotonic() < end, f"not shown within {within_s} s:\n{text}"
            time.sleep(0.05)
        return text

    def close(self) -> None:
        """End the server and all in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True, timeout=20).stdout


@contextmanager
def terminal(folder: Path, *, columns: int, rows: int, term: str = "screen-256color") -> Iterator[Terminal]:
    """A terminal that is gone afterwards."""
    window = Terminal(folder / "tmux", columns, rows, term)
    try:
        yield window
    finally:
        window.close()
