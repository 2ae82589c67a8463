"""The province of `province.seed` behind the real application, on both engines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from hub.api import tokens
from hub.application import create_app
from hub.database import Database
from hub.store import Store
from tests.hub.web import province
from web.sessions import Sessions
from web.users import Users, put_user

NOW_MS = 1_795_514_700_000  # 2026-11-24T17:05:00 in Vietnam
PASSWORD = "mot-hai-ba-bon-nam"


@dataclass(frozen=True, slots=True)
class Hub:
    """The application, its store, and who may ask it."""

    app: Starlette
    database: Database
    store: Store
    folder: Path
    token: str
    cookie: str

    def browser(self, *, signed_in: bool = True, language: str = "vi") -> httpx.AsyncClient:
        """Somebody with a browser."""
        cookies = {"ce_language": language, **({"ce_session": self.cookie} if signed_in else {})}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://hub.test", cookies=cookies)

    def program(self, token: str | None = None) -> httpx.AsyncClient:
        """A program with a token; with another one where it is given, without one when that is empty."""
        text = self.token if token is None else token
        headers = {"authorization": f"Bearer {text}"} if text else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=headers)


def build(url: str, folder: Path, *, minutes: int = 30) -> Hub:
    """Seed an empty store and put the application before it."""
    database = Database(url)
    store = province.seed(database, now_ms=NOW_MS, minutes=minutes)
    users, token_file = folder / "users.toml", folder / "tokens.toml"
    put_user(users, name="an", password=PASSWORD, shown="Nguyễn Văn An", roles=[])
    token = tokens.issue(token_file, name="all", scopes=list(tokens.SCOPES))
    someone = Users(users).get("an")
    assert someone is not None
    cookie = Sessions(folder / "sessions.json", now_s=lambda: NOW_MS / 1000).start(someone)
    app = create_app(
        database=database,
        users=users,
        tokens=token_file,
        metrics=lambda: b"# TYPE up gauge\nup 1\n",
        sessions=folder / "sessions.json",
        now_s=lambda: NOW_MS / 1000,
    )
    return Hub(app, database, store, folder, token, cookie)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """To be read only: one for all tests, on each engine in turn."""
    folder = tmp_path_factory.mktemp("hub")
    lite = request.param == "sqlite"
    made = build(f"sqlite:///{folder}/hub.db" if lite else request.getfixturevalue("cluster").new_store(), folder)
    yield made
    made.database.close()


@pytest.fixture
def own_hub(store_url: str, tmp_path: Path) -> Iterator[Hub]:
    """One of the test's own, to write to."""
    made = build(store_url, tmp_path, minutes=5)
    yield made
    made.database.close()
