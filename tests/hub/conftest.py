"""What the hub's tests share: the store on both engines, and a device that sends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.database import Database
from hub.store import Store
from tests.hub.cluster import Cluster
from tests.hub.sender import Sender, roster_of


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of the session's own."""
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hub.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new_store()


@pytest.fixture
def sender() -> Sender:
    """A device on the known list."""
    return Sender()


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    made = Database(store_url)
    yield made
    made.close()


@pytest.fixture
def store(database: Database, sender: Sender) -> Store:
    """Migrated, with the sender known."""
    made = Store(database, exporting=True)
    made.open(roster_of(sender))
    return made
