"""The touch page in a real Chromium, against a real booth: no press lost, none doubled, whoever is away."""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.config import BrokerConfig
from bus.entries import RatingReason
from kiosk.booth import TICK_S
from kiosk.config import PageConfig
from kiosk.flow import Flow, View
from kiosk.page.app import LANGUAGE_NAMES, TouchPage
from kiosk.page.prompt_files import PromptFiles
from kiosk.page.service import kept_key
from kiosk.picture import Picture, draw
from kiosk.prompts import PROMPTS, PromptStore
from kiosk.settings import KioskSettings
from media.simulated import RATE_HZ
from tests.chromium import Browser, chromium
from tests.kiosk.bench import ALWAYS_OPEN, BoothBench, presses, records, until
from tests.kiosk.full_disk import fill, small_disk
from tests.kiosk.resident import ResidentKiosk, nowhere, page_at
from tests.kiosk.screens import pictures
from tests.media.test_sound import tone, wav
from tests.tools import free_port
from web.server import serve

KEY = "k" * 43
SNAPSHOTS = Path(__file__).parent / "snapshots"
FAST = msgspec.structs.replace(ALWAYS_OPEN, thanks_s=1.0, reason_s=5.0)


class AskedFiles(PromptFiles):
    """Remembers what a page asked for."""

    def __init__(self, store: PromptStore, asked: list[tuple[str, str]]) -> None:
        super().__init__(store, lambda: 100)
        self._asked = asked

    def wav(self, language: str, name: str) -> bytes | None:
        self._asked.append((language, name))
        return super().wav(language, name)


class Kiosk:
    """A booth with its page, on a thread of its own, that can go away and come back on the same port."""

    def __init__(self, folder: Path, settings_: KioskSettings = FAST, *, recordings: Path | None = None) -> None:
        self.folder, self.settings, self.recordings = folder, settings_, recordings
        self.asked: list[tuple[str, str]] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/{KEY}/"
        self.bench: BoothBench
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(up)))
        self._thread.start()
        assert up.wait(20)

    def stop(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)
            self._thread = None

    async def _run(self, up: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.bench = BoothBench(self.folder, self.settings)
        page = TouchPage(self.bench.booth, KEY, prompts=await self._prompts())
        serving = asyncio.create_task(
            serve(page.app(), host="127.0.0.1", port=self.port, on_listening=lambda _: up.set())
        )
        ticking = asyncio.create_task(self._tick())
        await self._stop.wait()
        page.close()
        for task in (ticking, serving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.bench.close()

    async def _prompts(self) -> PromptFiles | None:
        if self.recordings is None:
            return None
        store = PromptStore(self.recordings, RATE_HZ)
        await store.prepare(self.settings)
        return AskedFiles(store, self.asked)

    async def _tick(self) -> None:
        while True:
            self.bench.booth.tick()
            await asyncio.sleep(TICK_S)


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[Kiosk]:
    made = Kiosk(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as session:
        yield session


IDLE = "return document.body.className === 'idle' && document.querySelectorAll('#levels button').length > 0"
THANKS = "return document.body.className === 'thanks'"


def test_a_touch_is_thanked_and_stored_once(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    assert [browser.text(f"#levels button:nth-child({n}) span") for n in range(1, 6)] == [
        "Rất hài lòng",
        "Hài lòng",
        "Bình thường",
        "Không hài lòng",
        "Rất không hài lòng",
    ]
    browser.click("#levels button:nth-child(2)")
    browser.until(THANKS)
    assert "cảm ơn" in browser.text("#headline")
    browser.until(IDLE)
    assert [(press.level, press.levels, press.source) for press in presses(kiosk.bench.journal)] == [(2, 5, "touch")]


def test_whoever_touched_the_wrong_face_touches_another_below_the_thanks(tmp_path: Path, browser: Browser) -> None:
    kiosk = Kiosk(tmp_path, msgspec.structs.replace(FAST, thanks_s=4.0, reasons_from=0))
    kiosk.start()
    try:
        browser.open(kiosk.url)
        browser.until(IDLE)
        browser.click("#levels button:nth-child(1)")
        browser.until(THANKS)
        assert browser.text("#note") == "Bấm nhầm? Xin bấm lại ngay nút khác."
        time.sleep(0.5)  # a trembling finger is not another answer
        browser.click("#levels button:nth-child(4)")
        browser.until("return document.querySelectorAll('.thanks #levels button').length === 5")
        browser.until(IDLE)
        first, last = presses(kiosk.bench.journal)
        assert (first.level, last.level, last.replaces) == (1, 4, first.press)
    finally:
        kiosk.stop()


def test_a_low_rating_is_asked_why_and_the_answer_is_kept(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.click("#levels button:nth-child(5)")
    browser.until("return document.body.className === 'reasons'")
    assert browser.count("#reasons button") == 4
    browser.click("#reasons button:nth-child(1)")
    browser.until(IDLE)
    reasons = [data for _, data in records(kiosk.bench.journal) if isinstance(data, RatingReason)]
    assert [(reason.press, reason.reason) for reason in reasons] == [(presses(kiosk.bench.journal)[0].press, "waiting")]


def test_the_reason_can_be_skipped(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.click("#levels button:nth-child(4)")
    browser.until("return document.body.className === 'reasons'")
    browser.click("#skip")
    browser.until(IDLE)


def test_the_language_is_chosen_by_touch(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.click("#languages button[data-language=en]")
    browser.until("return document.querySelector('#levels button span')?.innerText === 'Very satisfied'")
    browser.click("#languages button[data-language=vi]")
    browser.until("return document.querySelector('#levels button span')?.innerText === 'Rất hài lòng'")


def test_a_language_touched_is_heard_at_once(tmp_path: Path, browser: Browser) -> None:
    """Whoever does not read hears the question in it, and thanks after an answer."""
    recordings = tmp_path / "recordings"
    for language in ("vi", "tai"):
        (recordings / language).mkdir(parents=True)
        for name in PROMPTS:
            wav(tone(0.5), recordings / language / f"{name}.wav")
    languages = ["vi", "tai", "hmn"]
    kiosk = Kiosk(tmp_path, msgspec.structs.replace(FAST, languages=languages), recordings=recordings)
    kiosk.start()
    try:
        browser.open(kiosk.url)
        browser.until(IDLE)
        for language in ("tai", "hmn"):  # of the second there is nothing: its question is said in Vietnamese
            browser.click(f"#languages button[data-language={language}]")
            browser.until(f"return document.documentElement.lang === '{language}' && speaking?.played.length > 0")
            assert browser.run("return speaking.src").endswith(f"/prompts/{language}/question.wav")
        browser.click("#levels button:nth-child(1)")
        browser.until("return speaking.src.endsWith('/prompts/hmn/thanks.wav') && speaking.played.length > 0")
        assert list(dict.fromkeys(kiosk.asked)) == [("tai", "question"), ("hmn", "question"), ("hmn", "thanks")]
    finally:
        kiosk.stop()


def test_a_page_beside_a_kiosk_that_sounds_itself_asks_for_no_prompt(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.click("#languages button[data-language=en]")
    browser.until("return document.documentElement.lang === 'en'")
    asked = "return performance.getEntriesByType('resource').filter(e => e.name.includes('/prompts/')).length"
    assert browser.run(asked) == 0
    assert httpx.get(f"{kiosk.url}prompts/en/question.wav").status_code == 404


def test_each_language_has_a_mark_and_a_loudspeaker_for_who_does_not_read(tmp_path: Path, browser: Browser) -> None:
    kiosk = Kiosk(tmp_path, msgspec.structs.replace(FAST, languages=[*LANGUAGE_NAMES, "xyz"]))
    kiosk.start()
    try:
        browser.open(kiosk.url)
        browser.until(IDLE)
        marks = browser.run("return [...document.querySelectorAll('#languages .tongue use')].map(e => e.href.baseVal)")
        assert len(set(marks)) == len(marks) == len(LANGUAGE_NAMES) + 1
        assert all(browser.run(f"return !!document.querySelector('{mark}')") for mark in marks)
        assert browser.count("#languages use[href='#sign-speak']") == len(marks)
    finally:
        kiosk.stop()


def test_touched_while_the_kiosk_is_away_is_thanked_kept_over_a_reload_and_stored_once(
    kiosk: Kiosk, browser: Browser
) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    kiosk.stop()
    browser.click("#levels button:nth-child(3)")
    browser.until(THANKS)
    browser.until("return document.body.dataset.waiting === '1'")
    kiosk.start()
    browser.reload()
    browser.until("return document.body.dataset.waiting === '0'")
    assert [press.level for press in presses(kiosk.bench.journal)] == [3]
    browser.until("return indexedDB.databases().then(() => true)")


def test_once_loaded_it_loads_and_takes_presses_while_the_kiosk_is_away(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.until("return navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)")
    looks = "return getComputedStyle(document.querySelector('#levels')).display + document.styleSheets.length"
    looked = browser.run(looks)
    kiosk.stop()
    browser.reload()
    browser.until(IDLE)
    assert browser.run(looks) == looked, "its style is there too"
    browser.click("#levels button:nth-child(2)")
    browser.until(THANKS)
    browser.until("return document.body.dataset.waiting === '1'")
    kiosk.start()
    browser.until("return document.body.dataset.waiting === '0'")
    assert [press.level for press in presses(kiosk.bench.journal)] == [2]


async def test_a_full_disk_is_said_and_the_page_keeps_what_it_could_not_hand_in(
    tmp_path: Path, browser: Browser
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        resident = ResidentKiosk(tmp_path, nowhere(), state=disk / "state", page=page_at(), panel=[])
        await resident.start()
        try:
            await until((resident.state / "page.json").exists)
            url = httpx.URL(resident.page())
            browser.open(str(url))
            browser.until(IDLE)
            ballast = fill(disk)
            # What fits into the journal's reserve is stored; then the kiosk answers 503.
            async with httpx.AsyncClient(trust_env=False) as client:
                for seq in range(1, 2000):
                    answer = await client.post(f"{url}presses", json=PRESS | {"seq": seq})
                    if answer.status_code != 200:
                        break
            assert answer.status_code == 503
            assert answer.json()["detail"].endswith("send it again")
            browser.until("return !document.getElementById('trouble').hidden")
            browser.click("#levels button:nth-child(4)")
            browser.until(THANKS)
            browser.until("return document.body.dataset.waiting === '1'")
            ballast.unlink()
            browser.until("return document.body.dataset.waiting === '0'")
            browser.until("return document.getElementById('trouble').hidden")
            await resident.stop()
        finally:
            await resident.kill()
        kept = [press for press in resident.presses() if not press.press.startswith(f"touch-{PRESS['client']}")]
        assert [(press.level, press.flags) for press in kept] == [(4, [])]


def test_an_answer_that_was_lost_on_the_way_does_not_double_the_press(kiosk: Kiosk, browser: Browser) -> None:
    """The kiosk stores the press and dies before it can say so: the page offers it again."""
    browser.open(kiosk.url)
    browser.until(IDLE)
    # The browser loses the first answer, after the server has given it.
    browser.run(
        "const real = window.fetch; let lost = false;"
        "window.fetch = async (...a) => { const r = await real(...a);"
        " if (!lost && String(a[0]).endsWith('presses')) { lost = true; throw new TypeError('lost'); } return r; }"
    )
    browser.click("#levels button:nth-child(1)")
    browser.until("return document.body.dataset.waiting === '0'")
    assert [press.level for press in presses(kiosk.bench.journal)] == [1]


def test_the_clock_of_the_tablet_may_be_set_while_a_press_waits(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    kiosk.stop()
    browser.click("#levels button:nth-child(3)")
    browser.until("return document.body.dataset.waiting === '1'")
    browser.run("const real = Date.now; Date.now = () => real() + 10 * 365 * 86400000;")
    kiosk.start()
    browser.until("return document.body.dataset.waiting === '0'")
    (press,) = presses(kiosk.bench.journal)
    assert (press.level, press.flags) == (3, ["age-unsure"])
    assert press.age_ms < 60_000


@pytest.mark.parametrize("off_ms", [0, -50 * 365 * 86_400_000, 3_600_000])
def test_an_age_by_the_clock_of_the_tablet_alone_is_marked(kiosk: Kiosk, browser: Browser, off_ms: int) -> None:
    """After a reload there is only that clock: it may have been in 1970 at the touch, or be set back since."""
    browser.open(kiosk.url)
    browser.until(IDLE)
    kiosk.stop()
    browser.run("const real = Date.now; Date.now = () => real() + arguments[0];".replace("arguments[0]", str(off_ms)))
    browser.click("#levels button:nth-child(4)")
    browser.until("return document.body.dataset.waiting === '1'")
    time.sleep(0.5)  # a trembling finger is not another answer
    browser.click("#levels button:nth-child(2)")
    browser.until("return kept().then((all) => all.length === 2)")
    kiosk.start()
    browser.reload()
    browser.until("return document.body.dataset.waiting === '0'")
    told = presses(kiosk.bench.journal)
    assert sorted(press.level for press in told) == [2, 4]
    assert [(press.flags, press.replaces) for press in told] == [(["age-unsure"], "")] * 2


def test_a_tablet_that_slept_with_its_timer_stopped_marks_the_age(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    kiosk.stop()
    browser.click("#levels button:nth-child(3)")
    browser.until("return document.body.dataset.waiting === '1'")
    browser.run("const slept = performance.now(); performance.now = () => slept; window.slept = Date.now() + 1100;")
    browser.until("return Date.now() > window.slept")
    kiosk.start()
    browser.until("return document.body.dataset.waiting === '0'")
    (press,) = presses(kiosk.bench.journal)
    assert press.flags == ["age-unsure"]


def test_a_press_that_waits_while_nothing_happens_to_the_clock_is_dated(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    kiosk.stop()
    browser.click("#levels button:nth-child(3)")
    browser.until("return document.body.dataset.waiting === '1'")
    kiosk.start()
    browser.until("return document.body.dataset.waiting === '0'")
    (press,) = presses(kiosk.bench.journal)
    assert press.flags == []
    assert 0 < press.age_ms < 60_000


def test_a_browser_that_keeps_nothing_still_votes(kiosk: Kiosk, browser: Browser) -> None:
    """Private mode, or a full disk: presses are offered all the same, and held in memory while the kiosk is away."""
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.run("inStore = () => Promise.reject(new Error('no store'))")
    browser.click("#levels button:nth-child(2)")
    browser.until(THANKS)
    browser.until(IDLE)
    assert browser.run("return document.getElementById('trouble').hidden") is True
    kiosk.stop()
    browser.click("#levels button:nth-child(4)")
    browser.until("return !document.getElementById('trouble').hidden")  # not safe anywhere: no thanks
    kiosk.start()
    browser.until("return document.body.dataset.waiting === '0'")
    assert [press.level for press in presses(kiosk.bench.journal)] == [2, 4]


def test_a_press_that_is_not_understood_is_kept_for_the_next_load(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.run(
        "const real = window.fetch; window.fetch = (...a) =>"
        " String(a[0]).endsWith('presses') ? Promise.resolve(new Response('', {status: 400})) : real(...a);"
    )
    browser.click("#levels button:nth-child(2)")
    browser.until("return document.body.dataset.waiting === '1'")
    assert presses(kiosk.bench.journal) == []
    browser.reload()
    browser.until("return document.body.dataset.waiting === '0'")
    assert [press.level for press in presses(kiosk.bench.journal)] == [2]


def test_thanks_are_shown_though_the_stream_of_pictures_is_down(kiosk: Kiosk, browser: Browser) -> None:
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.run("events.close()")
    browser.click("#levels button:nth-child(1)")
    browser.until(THANKS)
    assert len(presses(kiosk.bench.journal)) == 1


def test_a_page_open_elsewhere_does_not_show_how_somebody_voted(kiosk: Kiosk) -> None:
    """Whoever else has the page open sees the same after a low rating as after any other."""

    def views(client: str, level: int, seq: int) -> list[str]:
        seen: list[str] = []
        with httpx.stream("GET", f"{kiosk.url}events?client={client}", timeout=20) as stream:
            lines = stream.iter_lines()
            for line in lines:
                if not line.startswith('data: {"view"'):
                    continue
                view = msgspec.json.decode(line[6:], type=dict[str, Any])["view"]
                if seen and view == seen[-1]:
                    continue  # the minute has turned
                seen.append(view)
                if len(seen) == 1:
                    press = PRESS | {"level": level, "seq": seq}
                    assert httpx.post(kiosk.url + "presses", json=press).status_code == 200
                elif seen[-1] == "reasons":
                    reason = {"press": f"touch-{PRESS['client']}/{PRESS['boot']}/{seq}", "reason": "waiting"}
                    httpx.post(kiosk.url + "reasons", json=reason)
                elif seen[-1] == "idle":
                    return seen
        return seen

    assert views(str(PRESS["client"]), 5, 1) == ["idle", "thanks", "reasons", "thanks", "idle"]
    assert views("elsewhere", 1, 2) == views("elsewhere", 5, 3) == ["idle", "thanks", "idle"]
    assert httpx.post(kiosk.url + "skip", json={}).status_code == 204


def test_faster_than_fingers_is_told_to_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.page.app._PRESSES_AT_ONCE", 5)
    kiosk = Kiosk(tmp_path)
    kiosk.start()
    try:
        answers = [httpx.post(kiosk.url + "presses", json=PRESS | {"seq": seq}) for seq in range(1, 40)]
        late = next(answer for answer in answers if answer.status_code == 429)
        assert late.headers["retry-after"] == "1"
        assert httpx.post(kiosk.url + "presses", json=PRESS).status_code == 200  # known already: costs nothing
        assert len(presses(kiosk.bench.journal)) == sum(answer.status_code == 200 for answer in answers)
    finally:
        kiosk.stop()


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"short", b"a/b" * 20])
def test_a_damaged_key_is_made_anew_and_a_good_one_kept(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "page.key").write_bytes(damage)
    key = kept_key(tmp_path / "page.key")
    assert len(key) >= 43
    assert kept_key(tmp_path / "page.key") == key


@pytest.mark.parametrize(("width", "height"), [(800, 480), (1920, 1080), (390, 844), (360, 640)])
@pytest.mark.parametrize("languages", [["vi", "en"], list(LANGUAGE_NAMES)])
def test_every_picture_fits_the_screen(
    tmp_path: Path, browser: Browser, languages: list[str], width: int, height: int
) -> None:
    kiosk = Kiosk(tmp_path, msgspec.structs.replace(FAST, languages=languages))
    kiosk.start()
    try:
        fits(kiosk, browser, width, height)
    finally:
        kiosk.stop()


# What stands on the page, in the order in which it is seen: roles, marks, texts, states.
OUTLINE = """
const lines = ["language " + document.documentElement.lang];
function tell(element, depth) {
  if (!element.checkVisibility()) return;
  const parts = [element.tagName.toLowerCase() + (element.id && "#" + element.id), element.getAttribute("role")];
  if (element.matches("button, svg")) for (const use of element.querySelectorAll("use")) parts.push(use.href.baseVal);
  if (element.matches("button, p, h1")) parts.push(element.innerText);
  if (element.ariaPressed === "true") parts.push("[chosen]");
  if (element.matches("button, svg, p, h1") && !parts.slice(1).some(Boolean)) return;
  lines.push("  ".repeat(depth) + parts.filter(Boolean).join(" "));
  if (element.matches("button, svg")) return;
  const seen = [...element.children].sort((one, other) => getComputedStyle(one).order - getComputedStyle(other).order);
  for (const child of seen) tell(child, depth + 1);
}
for (const part of document.querySelectorAll("body > header, body > main, body > footer")) tell(part, 0);
return lines.join("\\n");
"""


def shown_pictures() -> Iterator[tuple[str, Picture]]:
    """Every picture of the text screen, and the reasons, which only a touch page asks for."""
    yield from pictures()
    for language in ("vi", "en"):
        flow = Flow(view=View.REASONS, language=language)
        yield f"reasons-{language}", draw(flow, KioskSettings(), levels=5, clock="08:15")


def test_every_picture_stands_on_the_page_as_its_snapshot(kiosk: Kiosk, browser: Browser) -> None:
    """As text, not as pixels, which change with each Chromium. Write it anew with `SNAPSHOTS=write`, and read it."""
    browser.open(kiosk.url)
    browser.until(IDLE)
    browser.run("events.close(); listen = () => {}")  # nothing but the test draws
    outline = ""
    for name, picture in shown_pictures():
        browser.run("draw(arguments[0])", msgspec.to_builtins(picture))
        outline += f"── {name} {'─' * (60 - len(name))}\n{browser.run(OUTLINE)}\n"
    path = SNAPSHOTS / "touch-page.txt"
    if os.environ.get("SNAPSHOTS") == "write":
        path.write_text(outline)
    assert outline == path.read_text()


def fits(kiosk: Kiosk, browser: Browser, width: int, height: int) -> None:
    browser.size(width, height)
    browser.open(kiosk.url)
    browser.until(IDLE)
    for view in ("idle", "thanks", "reasons", "closed"):
        browser.run(f"draw({{...shown, view: '{view}', headline: shown.question, network: 'Mạng đang gián đoạn'}})")
        overflow = browser.run(
            "return [...document.querySelectorAll('header, main, main > *, footer, button')]"
            ".filter(e => e.offsetParent !== null)"
            ".map(e => [e.id || e.className || e.tagName, e.getBoundingClientRect()])"
            ".filter(([n, r]) => r.left < -1 || r.right > innerWidth + 1 || r.top < -1 || r.bottom > innerHeight + 1)"
            ".map(([n]) => n)"
        )
        assert overflow == [], f"{view} at {width}x{height} does not fit"
        small = browser.run(
            "return [...document.querySelectorAll('button')].filter(e => e.offsetParent !== null)"
            ".filter(e => e.getBoundingClientRect().height < 44).map(e => e.innerText)"
        )
        assert small == [], "a finger needs 44 pixels"
    browser.size(800, 480)


def test_without_the_key_there_is_nothing(kiosk: Kiosk) -> None:
    for path in ("/", f"/{'x' * 43}/", f"/{'x' * 43}/events", f"/{KEY}/prompts/vi/thanks.wav"):
        answer = httpx.get(f"http://127.0.0.1:{kiosk.port}{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    answer = httpx.post(f"http://127.0.0.1:{kiosk.port}/{'x' * 43}/presses", json={})
    assert answer.status_code == 404


PRESS = {"client": "abcd1234", "boot": "0000000A", "seq": 1, "level": 1, "levels": 5, "age_ms": 0}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"level": 6}, 400),
        ({"level": 4, "levels": 3}, 400),
        ({"seq": 0}, 400),
        ({"boot": "xyz"}, 400),
        ({"client": "../../x"}, 400),
        ({"age_ms": -1}, 400),
        ({"extra": 1}, 400),
        ({"client": "a" * 5000}, 413),
    ],
)
def test_a_press_that_does_not_hold_is_refused_with_the_reason(
    kiosk: Kiosk, change: dict[str, object], status: int
) -> None:
    answer = httpx.post(kiosk.url + "presses", json=PRESS | change)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert presses(kiosk.bench.journal) == []


async def test_half_a_press_does_not_keep_the_kiosk_from_ending(tmp_path: Path) -> None:
    """Neither does a broker that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        resident = ResidentKiosk(
            tmp_path, BrokerConfig("127.0.0.1", mute.getsockname()[1]), page=PageConfig(enabled=True, port=0)
        )
        await resident.start()
        try:
            await until((resident.state / "page.json").exists)
            url = httpx.URL(resident.page())
            _, writer = await asyncio.open_connection(url.host, url.port)
            head = f"POST {url.path}presses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            writer.write(f'{head}Content-Length: 100\r\n\r\n{{"client":'.encode())
            await writer.drain()
            assert (await asyncio.to_thread(httpx.get, resident.page(), trust_env=False)).status_code == 200
            try:
                assert await resident.stop() < 5
            finally:
                writer.close()
        finally:
            await resident.kill()


def test_a_form_of_another_site_cannot_press(kiosk: Kiosk) -> None:
    answer = httpx.post(
        kiosk.url + "presses", content=msgspec.json.encode(PRESS), headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    assert presses(kiosk.bench.journal) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), path=st.sampled_from(["presses", "reasons", "skip", "language"]))
def test_any_body_is_answered_and_invents_nothing(kiosk: Kiosk, body: bytes, path: str) -> None:
    answer = httpx.post(kiosk.url + path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 204, 400)
    assert presses(kiosk.bench.journal) == []
