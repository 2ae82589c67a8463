"""The vote is secret: what anyone at the counter, at the commune or in a log can see is the same for every level."""

import asyncio
import itertools
import math
import re
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.unix_sockets import connect_to
from hub.api import tokens
from kiosk.ballots import Ballot, Source
from kiosk.config import SoundConfig
from kiosk.flow import Prompt, View
from kiosk.settings import KioskSettings, Volume
from kiosk.standing import SOCKET
from tests.broker import Broker
from tests.hub.process import HubProcess
from tests.hub.sender import Sender
from tests.kiosk.bench import BoothBench, until
from tests.kiosk.resident import DEVICE, ResidentKiosk, nowhere, page_at, plugged_in, watching, without_numbers
from tests.kiosk.test_panel import panel_at
from web.sessions import Sessions
from web.users import Users, put_user

LEVELS = range(1, 6)
PASSWORD = "mot-hai-ba-bon-nam"
OPEN = KioskSettings(hours=[], thanks_s=1.0, volumes=[Volume("00:00", 80)])


class Lamps:
    """What the panel's lamps and buzzer do, without when."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []

    def look(self, lamps: int, beeping: bool) -> None:
        if not self.seen or self.seen[-1] != (lamps, beeping):
            self.seen.append((lamps, beeping))


async def told(kiosk: ResidentKiosk) -> Any:
    """What the technician's view is told of it; which panel it has is a path of this test."""
    reader, writer = await asyncio.open_unix_connection(sock=connect_to(kiosk.state / SOCKET))
    standing = msgspec.json.decode(await reader.read())
    writer.close()
    return {**standing, "panels": list(standing["panels"].values())}


def recording(folder: Path) -> Path:
    """A recorded word of thanks: half a second, no part of it like another."""
    path = folder / "recordings" / "vi" / "thanks.wav"
    path.parent.mkdir(parents=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", "not compressed"))
        file.writeframes(array("h", (round(9000 * math.sin(at * at / 40_000)) for at in range(11_025))).tobytes())
    return folder / "recordings"


def heard(path: Path) -> bytes:
    """What came out of the loudspeaker, without the silence round it."""
    with wave.open(str(path)) as file:
        played: bytes = file.readframes(file.getnframes())
    return played.strip(b"\0")


async def witness(folder: Path, level: int) -> dict[str, Any]:
    """All that is to be seen and heard of one kiosk in which one citizen presses once."""
    sound = SoundConfig(enabled=True, recordings=str(recording(folder)), wav=str(folder / "sound.wav"))
    kiosk = ResidentKiosk(folder, nowhere(), settings=OPEN, page=page_at(), sound=sound)
    lamps = Lamps()
    async with panel_at(kiosk.line) as panel:
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            await until(lambda: "prompts ready" in kiosk.said(), what="prompts")
            async with watching(kiosk) as screen:
                quiet = len(screen.pictures)
                standing = [await told(kiosk)]
                panel.press(level)

                def over() -> bool:
                    lamps.look(panel.seen().lamps, panel.seen().beeping)
                    views = screen.views()[quiet:]
                    return View.THANKS in views and views[-1] is View.IDLE and panel.seen().lamps == 0

                await until(over, what="thanks and idle again")
                # The minute of the clock may turn at any moment: that is a new picture, but no other view.
                views = [view for view, _ in itertools.groupby(screen.views()[quiet:])]
                thanks = next(picture for picture in screen.pictures if picture.view is View.THANKS)
            standing.append(await told(kiosk))
            await kiosk.stop()
        finally:
            await kiosk.kill()
    (vote,) = kiosk.presses()
    assert vote.level == level
    return {
        "lamps": lamps.seen,
        "views": views,
        "thanks": msgspec.structs.replace(thanks, clock=""),
        "standing": standing,
        "heard": heard(folder / "sound.wav"),
        "log": sorted({without_numbers(line) for line in kiosk.said().splitlines()}),
        "raw log": kiosk.said(),
        "press": vote.press,
    }


async def test_lamps_pictures_sound_and_log_are_the_same_for_every_level(tmp_path: Path) -> None:
    seen = []
    for level in LEVELS:
        folder = tmp_path / f"kiosk-{level}"
        folder.mkdir()
        seen.append(await witness(folder, level))
    for what in ("lamps", "views", "thanks", "standing", "heard", "log"):
        assert all(one[what] == seen[0][what] for one in seen), what
    assert len(seen[0]["heard"]) > 10_000
    assert seen[0]["standing"][0] == seen[0]["standing"][1], "moved by a single vote"
    assert seen[0]["lamps"][-1] == (0, False)
    assert (0b11111, True) in seen[0]["lamps"], "every lamp, not the pressed one"
    for one in seen:
        assert one["press"] not in one["raw log"]
        assert not re.search(r"\blevel\b|\bbutton=|press=", one["raw log"])


@pytest.mark.parametrize("source", ["panel", "keypad"])
async def test_what_is_said_is_the_same_for_every_level(tmp_path: Path, source: Source) -> None:
    bench, said = BoothBench(tmp_path), list[Prompt]()
    bench.booth.on_prompt(said.append)
    for level in LEVELS:
        name = f"P-1/0000000A/{level}"
        await bench.booth.put(Ballot(name, source, level, 5, bench.booth.now_ms()))
    assert said == [Prompt("thanks", "vi")] * len(LEVELS)
    bench.close()


class Province:
    """A hub, read with the scopes that the counter's commune may have."""

    def __init__(self, folder: Path, broker: Broker, site: str) -> None:
        folder.mkdir()
        sender = Sender(site=site, device=DEVICE, part="kiosk")
        self.kiosk = ResidentKiosk(folder, broker.config, site=site)
        sender.key = self.kiosk.key
        self.hub = HubProcess(folder / "hub", broker.config, f"sqlite:///{folder}/hub.db", sender)
        self.hub.key.save_public(folder / "hub.pub")
        self.site = site
        self.hub.config.write_text(f'{self.hub.config.read_text()}users = "users.toml"\n')
        users = folder / "hub" / "users.toml"
        put_user(users, name="an", password=PASSWORD, roles=[])
        someone = Users(users).get("an")
        assert someone is not None
        self.cookies = {"ce_session": Sessions(folder / "hub" / "sessions.json").start(someone)}
        self.read = tokens.issue(folder / "hub" / "tokens.toml", name="read", scopes=["read", "metrics"])
        self.hub.token = self.read
        self.raw = tokens.issue(folder / "hub" / "tokens.toml", name="raw", scopes=["read", "ratings-raw"])

    def stored(self) -> int:
        return len(self.exactly("ratings"))

    def missing(self) -> int:
        return sum(one["missing"] for one in self.exactly("journals"))

    def exactly(self, listing: str) -> list[dict[str, Any]]:
        """A listing as it is for who may read single presses."""
        self.hub.token = self.raw
        found: list[dict[str, Any]] = self.hub.get(f"/api/v1/{listing}").json()["items"]
        self.hub.token = self.read
        return found

    def told(self) -> dict[str, Any]:
        """Everything that the scope `read` and a user without roles are told of a kiosk, and dashboards of ratings.

        /metrics as a whole is for engineers: its counts of entries move with votes (docs/ratings.md).
        """
        metrics = [line for line in self.hub.get("/metrics").text.splitlines() if "rating" in line]
        summary = self.hub.get("/api/v1/ratings/summary")
        assert summary.status_code == 200, summary.text
        refused = [self.hub.get(f"/api/v1/ratings{path}").status_code for path in ("", "/days")]
        listings = {name: self.hub.get(f"/api/v1/{name}").json() for name in ("journals", "devices", "events")}
        return {"metrics": metrics, "summary": summary.json(), "refused": refused, "page": self.page(), **listings}

    def page(self) -> str:
        """The commune's page, and that of its ratings, without the time at which they were made."""
        pages = [self.hub.get(f"/communes/{self.site}{path}", cookies=self.cookies) for path in ("", "/ratings")]
        assert [page.status_code for page in pages] == [200, 200]
        return "".join(re.sub(r"\b\d\d:\d\d(:\d\d)?\b", "", page.text) for page in pages)


@pytest.fixture
def province(tmp_path: Path, broker: Broker, site: str) -> Iterator[Province]:
    made = Province(tmp_path / "province", broker, site)
    made.hub.start()
    yield made
    made.hub.stop()


async def test_no_vote_moves_what_the_scope_read_is_told(province: Province) -> None:
    kiosk = province.kiosk
    async with panel_at(kiosk.line) as panel:
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            # The day's first vote: with it everything that the start wrote has come.
            panel.press(2)
            await until(lambda: province.stored() == 1 and not province.missing(), within_s=30)
            before = province.told()
            assert [one["missing"] for one in before["journals"]["items"]] == [0]
            assert before["refused"] == [403, 403]
            for number, level in enumerate((5, 1, 3), 2):
                panel.press(level)
                await until(lambda wanted=number: province.stored() == wanted, within_s=30)  # type: ignore[misc]
                assert province.told() == before
            await kiosk.stop()
        finally:
            await kiosk.kill()
