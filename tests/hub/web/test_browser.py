"""The pages in a real Chromium: signing in, every width, our own files alone, and figures that stay fresh."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bus.entries import DiagnosisChanged, JournalOpened, Sentence
from tests.chromium import Browser, chromium
from tests.hub.web import province
from tests.hub.web.conftest import NOW_MS, PASSWORD, Hub, build
from web.server import serve

PAGES = ["/", "/communes/s0001", "/communes/s0004", "/outages", "/availability", "/nothing-here"]


@dataclass
class Served:
    """The hub on a real port, which can be made to fail."""

    hub: Hub
    failing: bool = False
    port: Future[int] = field(default_factory=Future)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.failing:
            await PlainTextResponse("gone", 502)(scope, receive, send)
        else:
            await self.hub.app(scope, receive, send)

    def run(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(
            serve(self, host="127.0.0.1", port=0, on_listening=self.port.set_result), name="served"
        )
        self._loop.run_until_complete(asyncio.wait([self._task]))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.result(20)}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    made = Served(build(f"sqlite:///{folder}/hub.db", folder))
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(20)
    made.hub.database.close()


@pytest.fixture(scope="module")
def browser(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Signed in, by hand."""
    with chromium(tmp_path_factory.mktemp("chromium")) as made:
        made.open(f"{served.url}/communes/s0001")
        assert made.text("h1") == "Đăng nhập"
        made.run("document.querySelector('#name').value = 'an'")
        made.run("document.querySelector('#password').value = arguments[0]", PASSWORD)
        made.click(".door button")
        made.until("return document.querySelector('h1').innerText == 'Xã Mường Lát'")
        yield made


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_its_screen(browser: Browser, served: Served, path: str, width: int) -> None:
    browser.size(width, 900)
    browser.open(served.url + path)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    # Nothing that is to be read is cut off or lies upon its neighbour.
    cut = browser.run(
        "return [...document.querySelectorAll('main h1, main h2, main h3, main p, main td, main th, main dd')]"
        ".filter(e => e.offsetParent && getComputedStyle(e.closest('thead') ?? e).clipPath == 'none')"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 && e.innerText)"
        ".map(e => e.innerText)"
    )
    assert cut == []


def test_what_can_be_touched_is_large_enough(browser: Browser, served: Served) -> None:
    browser.size(390, 900)
    browser.open(served.url + "/")
    small = browser.run(
        "return [...document.querySelectorAll('.menu a, .tile, .langs a, button, input[type=search]')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).map(e => e.outerHTML)"
    )
    assert small == []  # WCAG 2.2, 2.5.8


def test_all_comes_from_here_and_the_font_has_every_letter(browser: Browser, served: Served) -> None:
    browser.open(served.url + "/")
    names = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert any("be-vietnam-pro-vietnamese" in name for name in names)
    assert any("live.js" in name for name in names)
    assert all(name.startswith(served.url) for name in names)
    assert browser.run("return document.fonts.check('16px \"Be Vietnam Pro\"', 'Mường Lát ẵ ự ỡ')")
    assert browser.run("return document.cookie") == ""


def test_the_language_is_switched_and_stays(browser: Browser, served: Served) -> None:
    browser.size(1280, 900)
    browser.open(served.url + "/outages")
    browser.click(".langs a[lang=en]")
    browser.until("return document.querySelector('h1').innerText == 'Outages'")
    assert browser.run("return location.pathname") == "/outages"
    browser.click(".langs a[lang=vi]")
    browser.until("return document.querySelector('h1').innerText == 'Mất kết nối'")


def test_figures_keep_themselves_fresh_and_say_when_they_are_old(browser: Browser, served: Served) -> None:
    turn = "document.dispatchEvent(new Event('visibilitychange'))"
    browser.size(1280, 900)
    browser.open(served.url + "/communes/s0001")
    browser.run("window.mark = 'the same page'")
    assert province.FIBRE.says.vi in browser.text("#verdict")
    box = province.Box(province.roster(), "s0001-agent", "d" * 16)
    box.write(JournalOpened("start", previous_epoch=f"{1:016x}"), NOW_MS)
    box.write(DiagnosisChanged("fine", "", NOW_MS, 1.0, province.FINE, Sentence("", "")), NOW_MS)
    served.hub.store.ingest([box.batch()])
    browser.run(turn)
    browser.until(f"return document.querySelector('#verdict').innerText.includes('{province.FINE.vi}')")
    assert browser.run("return window.mark") == "the same page"
    assert browser.run("return document.querySelector('#stale').hidden")
    served.failing = True
    try:
        browser.run(turn)
        browser.run(turn)
        browser.until("return !document.querySelector('#stale').hidden")
    finally:
        served.failing = False
    browser.run(turn)
    browser.until("return document.querySelector('#stale').hidden")


def test_signing_out_leaves_nothing_open(browser: Browser, served: Served, tmp_path: Path) -> None:
    browser.open(served.url + "/")
    browser.click(".tools form button")
    browser.until("return document.querySelector('h1').innerText == 'Đăng nhập'")
    browser.open(served.url + "/outages")
    assert browser.text("h1") == "Đăng nhập"
    browser.picture(tmp_path / "door.png")
    assert (tmp_path / "door.png").stat().st_size > 1000
