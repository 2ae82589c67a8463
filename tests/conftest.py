"""What tests share: one Mosquitto for the session, a broker of one's own to be hurt, and names nobody else uses."""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus.identifiers import SiteId
from tests.broker import Broker
from tests.evidence import evidence, pytest_terminal_summary

__all__ = ["broker", "evidence", "new_broker", "pytest_terminal_summary", "site"]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One for the session. Do not stop it; keep to topics below your own `site`."""
    shared = Broker(tmp_path_factory.mktemp("broker"))
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def new_broker(tmp_path: Path) -> Iterator[Callable[[], Broker]]:
    """Makes brokers, started, that the test may kill and start again."""
    made: list[Broker] = []

    def make() -> Broker:
        made.append(Broker(tmp_path / f"broker-{len(made)}"))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def site() -> SiteId:
    """A site that no other test uses, so that topics on the shared broker never meet."""
    return f"t{secrets.token_hex(6)}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """`ip netns add` leaves a mount behind, which nobody wants in a root that is thrown away after the tests."""
    mounts = Path("/run/netns")
    if not hasattr(session.config, "workerinput") and mounts.is_dir() and not any(mounts.iterdir()):
        subprocess.run(["umount", mounts], check=False, capture_output=True)
