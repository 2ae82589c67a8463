"""The pages of ratings in a real Chromium: every width, and what stands on paper."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.chromium import Browser, chromium
from tests.hub.web.conftest import PASSWORD
from tests.hub.web.test_ratings import Hub, build
from web.server import serve

PAGES = [
    "/ratings?month=2026-11",
    "/communes/s0002/ratings?month=2026-11",
    "/communes/s0005/ratings?month=2026-11",
    "/ratings/raw?site=s0001&from=2026-11-16&to=2026-11-20",
]


def _run(hub: Hub, port: Future[int], stop: Future[None]) -> None:
    async def work() -> None:
        serving = asyncio.ensure_future(serve(hub.app, host="127.0.0.1", port=0, on_listening=port.set_result))
        await asyncio.wrap_future(stop)
        serving.cancel()
        await asyncio.wait([serving])

    asyncio.run(work())


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ratings")
    hub = build(f"sqlite:///{folder}/hub.db", folder)
    port: Future[int] = Future()
    stop: Future[None] = Future()
    thread = threading.Thread(target=_run, args=(hub, port, stop))
    thread.start()
    yield f"http://127.0.0.1:{port.result(20)}"
    stop.set_result(None)
    thread.join(20)
    hub.database.close()


@pytest.fixture(scope="module")
def browser(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as made:
        made.open(f"{url}/ratings")
        made.run("document.querySelector('#name').value = 'binh'")
        made.run("document.querySelector('#password').value = arguments[0]", PASSWORD)
        made.click(".door button")
        made.until("return document.querySelector('h1').innerText.startsWith('Mức độ hài lòng')")
        yield made


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_its_screen(browser: Browser, url: str, path: str, width: int) -> None:
    browser.size(width, 900)
    browser.open(url + path)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    out = browser.run(
        "return [...document.querySelectorAll('main td, main th, main p, main h1, main h2, main input, main select')]"
        ".filter(e => e.offsetParent && getComputedStyle(e.closest('thead') ?? e).clipPath == 'none')"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
    )
    assert out == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_mark_stands_where_the_share_is(browser: Browser, url: str, width: int) -> None:
    browser.size(width, 900)
    browser.open(url + PAGES[0])
    places = browser.run(
        "return [...document.querySelectorAll('table .interval')].map(svg => {"
        "  const rail = svg.getBoundingClientRect();"
        "  const mark = svg.querySelector('.interval-mark').getBoundingClientRect();"
        "  const span = svg.querySelector('.interval-span').getBoundingClientRect();"
        "  const text = svg.closest('tr').querySelector('td.strong').innerText;"
        "  const said = text.replace(/[^0-9,]/g, '').replace(',', '.');"
        "  const at = x => 100 * (x - rail.left) / rail.width;"
        "  return [Number(said), at((mark.left + mark.right) / 2), at(span.left), at(span.right)] })"
    )
    assert len(places) >= 4
    for said, mark, low, high in places:
        assert mark == pytest.approx(said, abs=0.6)
        assert low <= mark <= high <= 100.5


def test_the_report_on_paper_has_no_buttons_and_places_to_sign(browser: Browser, url: str, tmp_path: Path) -> None:
    browser.size(794, 1123)
    browser.open(url + PAGES[1])
    shown = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert browser.run(shown, ".signatures") == "none"
    browser._devtools("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for gone in (".top", ".months", ".crumb"):
            assert browser.run(shown, gone) == "none", gone
        assert browser.run(shown, ".signatures") == "grid"
        assert browser.run("return document.documentElement.scrollWidth") <= 794
    finally:
        browser._devtools("Emulation.setEmulatedMedia", {"media": ""})
