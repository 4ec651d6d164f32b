"""The page of the studio in a real browser, used with mouse and keyboard and on a phone."""

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
TIMEOUT_MS = 60_000  # long, for a busy machine
KEPT = "#tray-faces li > button:first-child"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The URL of a studio that was started by its command, on a tiny model."""
    run = with_directions(saved_model(tmp_path_factory.mktemp("page") / "tiny"))
    command = [sys.executable, "-m", "facesmith", "studio", "--model", str(run), "--port", "0", "--no-browser"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as studio:
        first_line = studio.stderr.readline()
        assert first_line.startswith("The studio is at http://127.0.0.1:"), first_line
        yield first_line.split()[4]
        studio.terminate()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, url):
    """Opens the page in a new browser profile. Afterwards, errors and requests to other sites fail the test."""
    problems, contexts = [], []

    def open_in_new_profile(path="", **options):
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 700}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: line.type != "error" or problems.append(f"{line.text} {line.location}"))
        page.on("request", lambda sent: sent.url.startswith((url, "blob:")) or problems.append(sent.url))
        page.goto(url + path.lstrip("/"))
        return page

    yield open_in_new_profile
    for context in contexts:
        context.close()
    assert problems == []


def wait_until(page, expression):
    """Wait until an expression is true. Playwright's own way needs `eval`, which the page's security policy forbids."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def kept_count(page):
    return page.locator(KEPT).count()


def test_kept_faces_survive_a_reload_and_travel_with_the_url(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    page.click(".wall button[aria-label='Seed 3']")
    page.click(".wall button[aria-label='Seed 5']")
    assert page.get_attribute(".wall button[aria-label='Seed 3']", "aria-pressed") == "true"
    wait_until(page, "location.hash.includes('kept=3,5')")
    shared = page.evaluate("location.hash")
    page.reload()
    page.wait_for_selector(KEPT)
    assert kept_count(page) == 2
    other = open_page(f"/{shared}")
    other.wait_for_selector(KEPT)
    assert kept_count(other) == 2


def test_scrolling_adds_faces(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    before = page.locator(".wall button").count()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    wait_until(page, f"document.querySelectorAll('.wall button').length > {before}")
    page.wait_for_selector(f".wall button[aria-label='Seed {before}'] img.loaded")


def test_wall_works_with_the_keyboard(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    assert page.locator(".wall button[tabindex='0']").count() == 1, "the Tab key stops once"
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
    wait_until(page, f"document.querySelectorAll('{KEPT}').length === 0")


def test_nothing_shifts_while_faces_load(open_page):
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


def test_sliders_edit_a_face_and_undo_works(open_page):
    page = open_page("/#edit?kept=7")
    slider = page.get_by_role("slider", name="smiling")
    slider.wait_for()
    after = page.locator(".pair img").nth(1)
    wait_until(page, "document.querySelectorAll('.pair img.loaded').length === 2")
    unedited = after.get_attribute("src")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    wait_until(page, f"document.querySelectorAll('.pair img')[1].src !== '{unedited}'")
    assert page.locator(".slider.set .value").inner_text() == "+0.5"
    page.get_by_role("button", name="Keep", exact=True).click()
    wait_until(page, "location.hash.includes('7(smiling=0.5)')")
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".slider.set").count() == 0
    page.keyboard.press("Control+z")
    assert page.locator(".slider.set .value").inner_text() == "+0.5"
    page.keyboard.press("Control+Shift+z")
    assert page.locator(".slider.set").count() == 0


def test_dragged_slider_requests_one_face_at_a_time(open_page):
    page = open_page("/#edit?kept=7")
    page.get_by_role("slider", name="smiling").wait_for()
    wait_until(page, "document.querySelectorAll('.pair img.loaded').length === 2")
    requests = {"running": 0, "most": 0, "all": 0}

    def started(request):
        if "smiling" in request.url:
            requests["running"] += 1
            requests["all"] += 1
            requests["most"] = max(requests["most"], requests["running"])

    def ended(request):
        if "smiling" in request.url:
            requests["running"] -= 1

    page.on("request", started)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    page.evaluate(
        "(async () => { const slider = document.querySelector('.slider input'); for (let i = 1; i <= 25; i++) {"
        " slider.value = i / 10; slider.dispatchEvent(new Event('input'));"
        " await new Promise((after) => setTimeout(after, 8)); } })()"
    )
    page.wait_for_timeout(1500)
    assert page.locator(".slider.set .value").inner_text() == "+2.5"
    assert requests["most"] == 1
    assert 1 <= requests["all"] <= 26


def test_kept_faces_are_added_and_blended(open_page):
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
    wait_until(page, f"document.querySelectorAll('{KEPT}').length === 4")


def test_face_is_dragged_into_the_sum(open_page):
    page = open_page("/#mix?kept=3,5")
    page.wait_for_selector(".slot")
    page.locator("#tray-faces li").nth(1).drag_to(page.locator(".slot"))
    page.wait_for_selector(".term")
    assert "seed 5" in page.locator(".term").inner_text()


def test_walk_plays_and_is_downloaded(open_page):
    page = open_page("/#walk?kept=3,5")
    page.wait_for_selector("video:not([hidden])")
    wait_until(page, "document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(4, abs=0.2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GIF").click()
    assert Path(download.value.path()).read_bytes().startswith(b"GIF8")


def test_downloaded_face_has_its_provenance(open_page, tmp_path):
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


def test_page_names_the_command_that_makes_what_is_missing(open_page):
    page = open_page("/#evaluation")
    assert "facesmith evaluate" in page.locator(".notice pre").inner_text()
    page.click(".parts a[href='#watch']")
    page.wait_for_selector(".notice pre:has-text('facesmith studio --run RUN')")


@pytest.mark.parametrize("part", ["faces", "edit", "mix", "walk", "me", "watch", "evaluation"])
def test_every_part_fits_a_phone_and_has_accessible_names(open_page, part):
    page = open_page(f"/#{part}?kept=3,5,9", viewport={"width": 380, "height": 740}, color_scheme="dark")
    page.wait_for_selector("main h1")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, video, canvas, dialog')].filter((e) =>"
        " e.checkVisibility({ visibilityProperty: true }) && !(e.innerText || e.ariaLabel || e.title ||"
        " e.labels?.[0]?.innerText || e.ariaLabelledByElements?.length))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert page.evaluate("[...document.images].every((image) => image.hasAttribute('alt'))")
    assert page.locator(f".parts a[href='#{part}']").get_attribute("aria-current") == "page"


def test_hostile_page_urls_do_no_harm(open_page):
    for hash_ in (
        "#edit?kept=<img src=x onerror=alert(1)>",
        "#faces?psi=NaN&first=-5",
        "#nothing",
        "#mix?kept=1(,=)",
    ):
        page = open_page(f"/{hash_}")
        page.wait_for_selector("main h1")
    assert page.locator("main h1").count() == 1


def test_page_paints_soon(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 3000, "an idle machine needs a tenth of this time"


def test_server_refuses_other_host_names(url):
    request = urllib.request.Request(url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)
