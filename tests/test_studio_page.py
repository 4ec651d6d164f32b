"""The studio's page in a real browser: what a person does with it, by mouse, keyboard and on a phone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from small import saved_model
from test_studio import with_directions

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
pytest.importorskip("fastapi", reason="the studio is an extra")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
]
PATIENCE = 60_000  # milliseconds; for a machine that is busy with other things
KEPT = "#tray-faces li > button:first-child"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The studio as a person starts it, on a tiny model."""
    run = with_directions(saved_model(tmp_path_factory.mktemp("page") / "tiny"))
    command = [sys.executable, "-m", "facesmith", "studio", "--model", str(run), "--port", "0", "--no-browser"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as studio:
        told = studio.stderr.readline()
        assert told.startswith("The studio is at http://127.0.0.1:"), told
        yield told.split()[4]
        studio.terminate()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """Opens the page in a browser that knows nothing yet; nothing may go wrong in it, nor may it ask others."""
    wrong, contexts = [], []

    def opened(path="", **options):
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 700}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda told: told.type != "error" or wrong.append(f"{told.text} {told.location}"))
        page.on(
            "request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((address, "blob:")) else None
        )
        page.goto(address + path.lstrip("/"))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def until(page, expression):
    """Wait until it is true in the page; Playwright's own way evaluates texts there, which the policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def kept(page):
    return page.locator(KEPT).count()


def test_faces_are_kept_and_survive_a_reload(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    page.click(".wall button[aria-label='Seed 3']")
    page.click(".wall button[aria-label='Seed 5']")
    assert page.get_attribute(".wall button[aria-label='Seed 3']", "aria-pressed") == "true"
    until(page, "location.hash.includes('kept=3,5')")
    shared = page.evaluate("location.hash")
    page.reload()
    page.wait_for_selector(KEPT)
    assert kept(page) == 2
    other = open_page(f"/{shared}")  # a browser that knows nothing but the address
    other.wait_for_selector(KEPT)
    assert kept(other) == 2


def test_more_faces_come_as_one_scrolls(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    before = page.locator(".wall button").count()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    until(page, f"document.querySelectorAll('.wall button').length > {before}")
    page.wait_for_selector(f".wall button[aria-label='Seed {before}'] img.loaded")


def test_the_wall_is_walked_by_keys(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    assert page.locator(".wall button[tabindex='0']").count() == 1, "one stop of the Tab key"
    page.focus(".wall button[tabindex='0']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Seed 2"
    page.keyboard.press("ArrowDown")
    below = int(page.evaluate("document.activeElement.getAttribute('aria-label')").split()[1])
    assert below > 3
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector(KEPT)
    assert page.get_attribute(KEPT, "title") == "seed 0"
    page.focus(KEPT)
    page.keyboard.press("Delete")
    until(page, f"document.querySelectorAll('{KEPT}').length === 0")


def test_nothing_shifts_while_faces_come(open_page):
    page = open_page()
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) "
        "if (!entry.hadRecentInput) window.shifts += entry.value; }).observe({ type: 'layout-shift', buffered: true });"
    )
    for part in ("faces", "edit", "mix", "walk", "me", "evaluation"):
        page.goto(f"{page.url.split('#')[0]}?{part}#{part}?kept=3,5,9")
        page.wait_for_selector("main h1")
        page.wait_for_timeout(700)
        assert page.evaluate("window.shifts") < 0.02, part


def test_sliders_edit_and_can_be_undone(open_page):
    page = open_page("/#edit?kept=7")
    slider = page.get_by_role("slider", name="smiling")
    slider.wait_for()
    after = page.locator(".pair img").nth(1)
    until(page, "document.querySelectorAll('.pair img.loaded').length === 2")
    before = after.get_attribute("src")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    until(page, f"document.querySelectorAll('.pair img')[1].src !== '{before}'")
    assert page.locator(".slider.set .value").inner_text() == "+0.5"
    page.get_by_role("button", name="Keep", exact=True).click()
    until(page, "location.hash.includes('7(smiling=0.5)')")
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".slider.set").count() == 0
    page.keyboard.press("Control+z")
    assert page.locator(".slider.set .value").inner_text() == "+0.5"
    page.keyboard.press("Control+Shift+z")
    assert page.locator(".slider.set").count() == 0


def test_a_slider_that_is_dragged_asks_for_one_face_at_a_time(open_page):
    page = open_page("/#edit?kept=7")
    page.get_by_role("slider", name="smiling").wait_for()
    until(page, "document.querySelectorAll('.pair img.loaded').length === 2")
    under_way = {"now": 0, "most": 0, "all": 0}

    def begun(request):
        if "smiling" in request.url:
            under_way["now"] += 1
            under_way["all"] += 1
            under_way["most"] = max(under_way["most"], under_way["now"])

    def ended(request):
        if "smiling" in request.url:
            under_way["now"] -= 1

    page.on("request", begun)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    page.evaluate(
        "(async () => { const slider = document.querySelector('.slider input'); for (let i = 1; i <= 25; i++) {"
        " slider.value = i / 10; slider.dispatchEvent(new Event('input'));"
        " await new Promise((after) => setTimeout(after, 8)); } })()"
    )
    page.wait_for_timeout(1500)
    assert page.locator(".slider.set .value").inner_text() == "+2.5"
    assert under_way["most"] == 1
    assert 1 <= under_way["all"] <= 26


def test_kept_faces_are_added_up(open_page):
    page = open_page("/#mix?kept=3,5,9")
    page.wait_for_selector(".slot")
    for place in range(3):
        page.locator(KEPT).nth(place).click()
    page.wait_for_selector(".result img.loaded")
    assert page.locator(".result code").inner_text() == "3 − 5 + 9"
    page.get_by_label("Minus seed 5; change the sign").click()
    assert page.locator(".result code").inner_text() == "3 + 5 + 9"
    page.get_by_role("button", name="Blend").click()
    assert page.locator(".result code").inner_text() == "0.333 × 3 + 0.333 × 5 + 0.333 × 9"
    page.get_by_role("button", name="Keep", exact=True).click()
    until(page, f"document.querySelectorAll('{KEPT}').length === 4")


def test_a_face_is_dragged_into_the_sum(open_page):
    page = open_page("/#mix?kept=3,5")
    page.wait_for_selector(".slot")
    page.locator("#tray-faces li").nth(1).drag_to(page.locator(".slot"))
    page.wait_for_selector(".term")
    assert "seed 5" in page.locator(".term").inner_text()


def test_a_walk_plays(open_page):
    page = open_page("/#walk?kept=3,5")
    page.wait_for_selector("video:not([hidden])")
    until(page, "document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(4, abs=0.2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GIF").click()
    assert Path(download.value.path()).read_bytes().startswith(b"GIF8")


def test_a_face_is_downloaded_with_its_provenance(open_page, tmp_path):
    from facesmith.io.images import read_provenance

    page = open_page("/#faces?kept=8")
    page.click(KEPT)
    with page.expect_download() as download:
        page.locator("dialog").get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "face.png")
    assert download.value.suggested_filename == "seed-8.png"
    assert read_provenance(tmp_path / "face.png")["Seeds"] == "[8]"
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_what_is_missing_says_which_command_makes_it(open_page):
    page = open_page("/#evaluation")
    assert "facesmith evaluate" in page.locator(".notice pre").inner_text()
    page.click(".parts a[href='#watch']")
    page.wait_for_selector(".notice pre:has-text('facesmith studio --run RUN')")


@pytest.mark.parametrize("part", ["faces", "edit", "mix", "walk", "me", "watch", "evaluation"])
def test_every_part_fits_a_phone_and_has_names(open_page, part):
    page = open_page(f"/#{part}?kept=3,5,9", viewport={"width": 380, "height": 740}, color_scheme="dark")
    page.wait_for_selector("main h1")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing reaches beyond the side"
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, video, canvas, dialog')].filter((e) =>"
        " e.checkVisibility({ visibilityProperty: true }) && !(e.innerText || e.ariaLabel || e.title ||"
        " e.labels?.[0]?.innerText || e.ariaLabelledByElements?.length))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert page.evaluate("[...document.images].every((image) => image.hasAttribute('alt'))")
    assert page.locator(f".parts a[href='#{part}']").get_attribute("aria-current") == "page"


def test_hostile_addresses_of_the_page_do_no_harm(open_page):
    for hash_ in (
        "#edit?kept=<img src=x onerror=alert(1)>",
        "#faces?psi=NaN&first=-5",
        "#nothing",
        "#mix?kept=1(,=)",
    ):
        page = open_page(f"/{hash_}")
        page.wait_for_selector("main h1")
    assert page.locator("main h1").count() == 1


def test_the_page_paints_soon(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 3000, "it takes a tenth of that on an idle machine; this bound forgives a busy one"


def test_the_address_answers_only_to_its_name(address):
    asked = urllib.request.Request(address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(asked)
