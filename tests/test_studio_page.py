"""The page of the studio in a real browser, used with mouse and keyboard and on a phone."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from marionette import FIREFOX, Firefox
from PIL import Image, features
from small import saved_model
from test_studio import with_directions

import facesmith
from facesmith.modelfiles.run_folder import LOG, PLAN, SHEETS

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
axe_playwright_python = pytest.importorskip("axe_playwright_python", reason="axe checks the accessibility")
pytest.importorskip("fastapi", reason="the studio is an extra")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a camera, and a microphone that beeps
]
TIMEOUT_MS = 60_000  # long, for a busy machine
KEPT = "#tray-faces li > button:first-child"


@contextmanager
def running_studio(*options, port=0):
    """Starts a studio by its command, and yields its URL and its process."""
    command = [sys.executable, "-m", "facesmith", "studio", "--port", str(port), "--no-browser", *map(str, options)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as studio:
        try:
            first_line = studio.stderr.readline()
            assert first_line.startswith("The studio is at http://127.0.0.1:"), first_line
            yield first_line.split()[4], studio
        finally:
            studio.terminate()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two tiny models; the first one has directions."""
    folder = tmp_path_factory.mktemp("page")
    return with_directions(saved_model(folder / "tiny")), saved_model(folder / "other", "vaegan64")


@pytest.fixture(scope="module")
def url(models):
    with running_studio("--model", models[0], "--model", models[1]) as (url, _):
        yield url


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with three checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    (folder / SHEETS).mkdir(parents=True)
    log = [{"seen": seen, "seconds": seen / 100, "G/loss": 1.0} for seen in (1000, 2000, 3000)]
    (folder / PLAN).write_text("{}")
    (folder / LOG).write_text("\n".join(map(json.dumps, log)))
    for line in log:  # 8x8 faces of 16 pixels, 2 pixels apart
        Image.new("RGB", (142, 142), (line["seen"] // 20, 90, 60)).save(folder / SHEETS / f"{line['seen']:09d}.png")
    return folder


@pytest.fixture(scope="module")
def training_studio(models, run):
    """A studio with a run that receives OSC messages: its URL and the port for the messages."""
    pytest.importorskip("pythonosc", reason="OSC is an extra")
    with running_studio("--model", models[0], "--run", run, "--osc", 0) as (url, studio):
        yield url, int(studio.stderr.readline().split()[-1])


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

    def open_in_new_profile(path="", *, site=url, **options):
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 700}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: line.type != "error" or problems.append(f"{line.text} {line.location}"))
        page.on("request", lambda sent: sent.url.startswith((site, "blob:")) or problems.append(sent.url))
        page.goto(site + path.lstrip("/"))
        return page

    open_in_new_profile.expected = []  # texts of errors that the test causes
    yield open_in_new_profile
    for context in contexts:
        context.close()
    assert [each for each in problems if not any(text in each for text in open_in_new_profile.expected)] == []


def wait_until(page, expression):
    """Wait until an expression is true. Playwright's own way needs `eval`, which the page's security policy forbids."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def kept_count(page):
    return page.locator(KEPT).count()


def kept_labels(page):
    return page.locator(KEPT).evaluate_all("buttons => buttons.map(({ title }) => title)")


def wait_for_kept(page, *labels):
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while kept_labels(page) != list(labels):
        assert time.monotonic() < deadline, f"{kept_labels(page)} instead of {labels}"
        page.wait_for_timeout(50)


def focused(page):
    """The accessible name of the element with the keyboard focus, or its tag."""
    return page.evaluate("(({ activeElement: e }) => e.ariaLabel || e.innerText || e.tagName)(document)")


def wait_for_message(page, text):
    page.locator("#message.on", has_text=text).wait_for()


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


def test_faces_that_load_slowly_appear_although_others_are_kept_meanwhile(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    page.evaluate(
        "(() => { const request = window.fetch; window.fetch = async (...options) => {"
        " await new Promise((after) => setTimeout(after, 900)); return request(...options); }; })()"
    )
    for seed in (3, 4, 5):
        page.click(f".wall button[aria-label='Seed {seed}']")
        page.wait_for_timeout(500)
    wait_until(page, "document.querySelectorAll('#tray-faces img.loaded').length === 3")


def test_full_storage_loses_no_kept_face(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('full'); }; }")
    page.click(".wall button[aria-label='Seed 3']")
    wait_for_message(page, "no room to store")
    page.click(".wall button[aria-label='Seed 5']")
    wait_for_kept(page, "seed 3", "seed 5")


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


def test_wall_leaves_out_distorted_faces_on_request(open_page, models):
    distorted = set(np.flatnonzero(facesmith.load(models[0]).distorted(range(96))).tolist())
    assert distorted
    page = open_page("/#faces?quality=1")
    page.wait_for_selector(".wall img.loaded")
    assert page.get_by_role("checkbox", name="Without distorted faces").is_checked()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    tiles = "[...document.querySelectorAll('.wall button')]"
    wait_until(page, f"{tiles}.length > 50")
    seeds = page.evaluate(f"{tiles}.map((tile) => Number(tile.getAttribute('aria-label').slice(5)))")
    assert [seed for seed in seeds if seed < 96] == [seed for seed in range(96) if seed not in distorted]
    page.get_by_role("checkbox", name="Without distorted faces").click()
    page.wait_for_selector(f".wall button[aria-label='Seed {min(distorted)}']")
    assert "quality" not in page.evaluate("location.hash")


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
    assert page.locator(".slider.set input[type=number]").input_value() == "0.5"
    page.get_by_role("button", name="Keep", exact=True).click()
    wait_until(page, "location.hash.includes('7(smiling=0.5)')")
    page.get_by_role("button", name="Reset", exact=True).click()
    assert page.locator(".slider.set").count() == 0
    page.keyboard.press("Control+z")
    assert page.locator(".slider.set input[type=number]").input_value() == "0.5"
    page.keyboard.press("Control+Shift+z")
    assert page.locator(".slider.set").count() == 0


COUNT_REQUESTS = """
window.requests = { running: 0, most: 0, all: 0 };
const send = window.fetch;
window.fetch = async (url, options) => {
  if (!String(url).includes('smiling')) return send(url, options);
  requests.all += 1;
  requests.most = Math.max(requests.most, ++requests.running);
  try { return await send(url, options); } finally { requests.running -= 1; }
};
"""


def test_dragged_slider_requests_one_face_at_a_time(open_page):
    page = open_page("/#edit?kept=7")
    page.add_init_script(COUNT_REQUESTS)
    page.reload()
    page.get_by_role("slider", name="smiling").wait_for()
    wait_until(page, "document.querySelectorAll('.pair img.loaded').length === 2")
    page.evaluate(
        "(async () => { const slider = document.querySelector('.slider input[type=range]');"
        " for (let i = 1; i <= 25; i++) { slider.value = i / 10; slider.dispatchEvent(new Event('input'));"
        " await new Promise((after) => setTimeout(after, 8)); } })()"
    )
    wait_until(page, "document.querySelectorAll('.pair img')[1].alt.includes('+2.5') && requests.running === 0")
    assert page.locator(".slider.set input[type=number]").input_value() == "2.5"
    assert page.evaluate("requests.most") == 1
    assert 1 <= page.evaluate("requests.all") <= 26


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


def test_walk_shows_the_film_of_the_latest_settings(open_page):
    """A setting that is changed and changed back while the film of the first change is being made."""
    page = open_page("/#walk?stops=3,5")
    page.wait_for_selector("video:not([hidden])")
    is_closed = page.get_by_label("Return to the first face")
    with page.expect_request(lambda request: "walk.mp4" in request.url and "closed=0" in request.url):
        page.route("**/walk.mp4*closed=0*", lambda route: None)  # it takes forever
        is_closed.uncheck()
    with page.expect_response(lambda response: "walk.mp4" in response.url and "closed=1" in response.url):
        is_closed.check()
    page.wait_for_selector("video:not([hidden])")
    wait_until(page, "document.querySelector('video').duration > 3.8")


def test_a_film_that_is_being_made_is_not_requested_again(open_page):
    page = open_page("/#faces?stops=3,5&kept=7")
    page.wait_for_selector(KEPT)
    films = []
    page.on("request", lambda request: "walk.mp4" in request.url and films.append(request.url))
    page.route("**/walk.mp4*", lambda route: None)  # it takes forever
    with page.expect_request(lambda request: "walk.mp4" in request.url):
        page.click(".parts a[href='./#walk']")
    page.focus(KEPT)
    page.keyboard.press("Delete")
    wait_for_kept(page)
    page.wait_for_timeout(800)
    assert len(films) == 1


def test_a_walk_takes_no_face_beyond_its_limit(open_page):
    stops = list(range(24))
    page = open_page(f"/#walk?stops={','.join(map(str, stops))}&kept=99")
    page.wait_for_selector("section.walk")
    page.click(KEPT)
    wait_for_message(page, "A walk has at most 24 faces.")
    page.click(".parts a[href='./#faces']")
    page.wait_for_selector(".wall")
    page.click(KEPT)
    page.locator("dialog[open]").get_by_role("button", name="Walk").click()
    wait_for_message(page, "A walk has at most 24 faces.")
    assert page.locator(".stops li").count() == 24


def test_downloaded_face_has_its_provenance(open_page, tmp_path):
    from facesmith.pictures.images import read_provenance

    page = open_page("/#faces?kept=8")
    page.click(KEPT)
    with page.expect_download() as download:
        page.locator("dialog[open]").get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "face.png")
    assert download.value.suggested_filename == "seed-8.png"
    assert read_provenance(tmp_path / "face.png")["Seeds"] == "[8]"
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_page_names_the_command_that_makes_what_is_missing(open_page):
    page = open_page("/#evaluation")
    assert "facesmith evaluate" in page.locator(".notice pre").inner_text()
    page.click(".parts a[href='./#watch']")
    page.wait_for_selector(".notice pre:has-text('facesmith studio --run RUN')")


SIZES = [(320, 640), (768, 1024), (844, 390), (1280, 800), (1920, 1080)]
AXE = (
    "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) =>"
    " `${id}: ${nodes.map(({ html }) => html.slice(0, 150)).join(' ')}`))"
)


@pytest.mark.parametrize("part", ["faces", "edit", "mix", "walk", "me", "watch", "evaluation"])
def test_every_part_is_accessible_and_fits_the_screen(open_page, part):
    axe = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    state = "kept=3,5,9&terms=3-5+9&stops=3,5&face=3(smiling=1.5)"
    # The page's security policy would forbid axe.
    page = open_page(f"/#{part}?{state}", bypass_csp=True, reduced_motion="reduce")
    page.wait_for_selector("main section")
    page.add_script_tag(content=axe)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"scrolls sideways at {width} px"
        small = page.evaluate(
            "[...document.querySelectorAll('button, select, summary')].filter((e) => e.checkVisibility()"
            " && Math.min(e.offsetWidth, e.offsetHeight) < 24).map((e) => e.outerHTML)"
        )
        assert small == [], f"too small to tap at {width} px"
        if (width, height) in (SIZES[0], SIZES[3]):
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(AXE) == [], f"{scheme}, {width} px"
    assert page.locator(f".parts a[data-text][href='./#{part}']").get_attribute("aria-current") == "page"


def test_dialogs_are_accessible(open_page):
    axe = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    page = open_page("/#faces?kept=3,5&model=0123abcd", bypass_csp=True)
    page.wait_for_selector(".wall img.loaded")
    page.add_script_tag(content=axe)
    assert page.evaluate(AXE) == [], "the message about another model"
    page.locator(KEPT).first.click()
    assert page.evaluate(AXE) == [], "the card"
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate(AXE) == [], "the enlarged face"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    dialogs = {
        "History": "Close",
        "Download several": "Close",
        "Stage mode": "Cancel",
        "Was this picture": "Close",
        "Forget everything": "Cancel",
    }
    for name, close in dialogs.items():
        page.get_by_role("button", name="Menu").click()
        page.locator("#menu button").first.wait_for()
        assert page.evaluate(AXE) == [], "the menu"
        page.locator("#menu").get_by_role("button", name=name).click()
        page.wait_for_selector("dialog[open]")
        assert page.evaluate(AXE) == [], name
        page.locator("dialog[open]").get_by_role("button", name=close).click()


def is_visible(page, selector):
    """Whether an element is fully on the screen, between the top and the tray."""
    return page.evaluate(
        "(selector) => { const box = document.querySelector(selector).getBoundingClientRect();"
        " const [top, bottom] = ['.top', '.tray'].map((each) => document.querySelector(each).getBoundingClientRect());"
        " return box.top >= top.bottom - 1 && box.bottom <= bottom.top + 1 && box.left >= 0"
        " && box.right <= innerWidth; }",
        selector,
    )


def test_faces_stay_next_to_their_controls(open_page):
    page = open_page("/#edit?kept=3,5,9&terms=3-5+9&stops=3,5&face=3(smiling=1.5)")
    page.wait_for_selector(".pair .after img.loaded")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.locator(".slider input[type=range]").last.scroll_into_view_if_needed()
        page.wait_for_timeout(100)
        assert is_visible(page, ".pair .after .face"), f"the edited face at {width}x{height}"
        assert is_visible(page, ".sliders .slider:last-child input[type=range]"), f"the slider at {width}x{height}"
    for part, selectors in {"mix": (".result .face", ".term .face"), "faces": (".wall li:first-child",)}.items():
        page.click(f".parts a[href='./#{part}']")
        page.wait_for_selector(selectors[-1])
        for width, height in SIZES[1:]:
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(100)
            for selector in selectors:
                assert is_visible(page, selector), f"{selector} at {width}x{height}"
    # Parts beyond the edge are announced by an arrow.
    page.set_viewport_size({"width": 320, "height": 640})
    page.wait_for_selector(".parts.more-right")
    page.click(".parts a[href='./#evaluation']")
    page.wait_for_selector(".parts.more-left:not(.more-right)")


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


def test_damaged_storage_and_projects_lose_nothing(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    stored = {"kept": [None, {"face": 5}, {"face": "3", "label": "<b>three</b>"}, {"face": "9(smiling=1)"}]}
    page.evaluate("(text) => localStorage.setItem('facesmith-studio', text)", json.dumps(stored))
    page.reload()
    wait_for_kept(page, "<b>three</b>", "seed 9, smiling +1")
    project = {"format": "facesmith-studio-project", "address": "#edit?face=%%", "kept": [None, {"face": "<img>"}]}
    for content, answer in ((project, "Project opened"), (project | {"address": 5}, "not a project")):
        drop_file(page, json.dumps(content).encode(), "project.json", "application/json")
        wait_for_message(page, answer)
    wait_for_kept(page, "<b>three</b>", "seed 9, smiling +1")


def test_page_paints_before_the_server_answers_its_requests(open_page):
    page, held = open_page(), []
    page.wait_for_selector(".wall img.loaded")
    page.route("**/api/**", lambda request: held.append(request))
    page.reload()
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    wait_for_count(page, held, 1)
    assert not page.locator(".wall img.loaded").count()


def test_server_refuses_other_host_names(url):
    request = urllib.request.Request(url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)


def test_links_add_faces_and_tabs_share_them(open_page):
    page = open_page()
    page.click(".wall button[aria-label='Seed 1']")
    wait_for_kept(page, "seed 1")
    # A link from somebody else adds its faces, and can be undone. The other tab follows.
    friend = page.context.new_page()
    friend.goto(page.url.split("#")[0] + "#faces?kept=3,5")
    wait_for_kept(friend, "seed 1", "seed 3", "seed 5")
    wait_for_kept(page, "seed 1", "seed 3", "seed 5")
    friend.get_by_role("button", name="Undo").click()
    wait_for_kept(friend, "seed 1")
    friend.click(".wall button[aria-label='Seed 9']")
    wait_for_kept(page, "seed 1", "seed 9")
    page.click(".wall button[aria-label='Seed 2']")
    wait_for_kept(friend, "seed 1", "seed 9", "seed 2")
    # A reload and a step back don't bring back what was removed.
    page.click(".wall button[aria-label='Seed 2']")
    page.reload()
    wait_for_kept(page, "seed 1", "seed 9")


def test_address_holds_what_is_on_the_screen(open_page):
    page = open_page(
        "/#mix?psi=0.7&first=120&face=7(smiling=0.5)&terms=3-5+2*9&mix=blend&stops=3,5,3&closed=0&seconds=3"
    )
    page.wait_for_selector(".result img.loaded")
    assert page.locator(".result code").inner_text() == "0.25 × 3 + 0.25 × 5 + 0.5 × 9"
    model = page.locator("#model").input_value()
    wait_until(page, f"location.hash.includes('model={model}')")
    shared = page.evaluate("location.hash")
    page.click(".parts a[href='./#walk']")
    page.wait_for_selector(".stops li")
    assert page.locator(".stops li").count() == 3
    assert not page.get_by_label("Return to the first face").is_checked()
    page.click(".parts a[href='./#edit']")
    page.wait_for_selector(".slider.set")
    assert page.locator(".pairing h2").inner_text() == "Seed 7"
    page.click(".parts a[href='./#faces']")
    page.wait_for_selector(".wall button[aria-label='Seed 120'] img.loaded")
    # Back goes through walls and parts; sliders are as they were.
    page.get_by_role("button", name="New faces").click()
    wait_until(page, "!document.querySelector(\".wall button[aria-label='Seed 120']\")")
    page.go_back()
    page.wait_for_selector(".wall button[aria-label='Seed 120'] img.loaded")
    page.go_back()
    page.wait_for_selector(".slider.set")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.go_back()
    page.wait_for_selector(".stops li")
    page.go_forward()
    wait_until(page, "document.querySelector('.slider') && !document.querySelector('.slider.set')")
    # Somebody else sees the same.
    other = open_page(f"/{shared}")
    other.wait_for_selector(".result img.loaded")
    assert other.locator(".result code").inner_text() == "0.25 × 3 + 0.25 × 5 + 0.5 × 9"
    assert other.evaluate("location.hash") == shared


def test_link_for_another_model_says_so(open_page):
    page = open_page("/#faces?model=0123abcd&kept=3")
    page.wait_for_selector("#other-model")
    assert "0123abcd" in page.locator("#other-model").inner_text()
    page.wait_for_selector(".wall img.loaded")
    # Switching between models leaves no broken pictures, and Back returns to the first one.
    first, second = page.locator("#model option").evaluate_all("options => options.map(({ value }) => value)")
    page.select_option("#model", second)
    wait_until(page, f"location.hash.includes('{second}')")
    page.wait_for_selector(".wall img.loaded")
    page.go_back()
    wait_until(page, f"document.querySelector('#model').value === '{first}'")
    page.wait_for_selector(".wall button[aria-label='Seed 0'] img.loaded")
    assert page.locator(".error").count() == 0
    wait_for_kept(page, "seed 3")


def test_reload_during_training_keeps_the_chosen_run(open_page, models, tmp_path):
    open_page.expected.append("net::ERR_")  # when the studio has ended
    training = saved_model(tmp_path / "training", seed=4)
    with running_studio("--model", models[1], "--model", training) as (site, _):
        page = open_page(site=site)
        page.wait_for_selector(".wall img.loaded")
        chosen = page.locator("#model option").nth(1).get_attribute("value")
        page.select_option("#model", chosen)
        wait_until(page, f"location.hash.includes('{chosen}')")
        saved_model(training, seed=5)  # the next checkpoint
        page.reload()
        page.wait_for_selector(".wall img.loaded")
        assert page.evaluate("document.querySelector('#model').value") != chosen
        assert page.evaluate("document.querySelector('#model').selectedIndex") == 1
        assert page.locator("#other-model").count() == 0


def test_parts_open_as_soon_as_a_run_has_a_model(open_page, models, run, tmp_path):
    open_page.expected.append("net::ERR_")  # when the studio has ended
    folder = shutil.copytree(run, tmp_path / "new")
    with running_studio("--run", folder) as (site, _):
        page = open_page(site=site)
        page.wait_for_selector(".facts")
        page.click(".parts a[href='./#faces']")
        page.get_by_text("the run writes one at its first checkpoint").wait_for()
        shutil.copy(models[1] / "model.safetensors", folder)
        page.click(".parts a[href='./#edit']")
        page.wait_for_selector("section.edit")


def test_every_removal_can_be_undone(open_page):
    page = open_page("/#edit?kept=3,5,9&face=3&terms=3-5&stops=3,5,9")
    page.wait_for_selector(".slider")
    page.get_by_role("button", name="Kept ✓").click()
    wait_for_message(page, "Removed seed 3")
    wait_for_kept(page, "seed 5", "seed 9")
    page.get_by_role("button", name="Undo").last.click()
    wait_for_kept(page, "seed 3", "seed 5", "seed 9")
    page.get_by_role("button", name="Clear").click()
    wait_for_kept(page)
    page.wait_for_timeout(400)
    page.keyboard.press("Control+z")
    wait_for_kept(page, "seed 3", "seed 5", "seed 9")
    page.click(".parts a[href='./#mix']")
    page.get_by_role("button", name="Start over").click()
    assert page.locator(".term").count() == 0
    page.get_by_role("button", name="Undo").click()
    assert page.locator(".term").count() == 2
    page.click(".parts a[href='./#walk']")
    page.get_by_role("button", name="Start over").click()
    page.get_by_role("button", name="Undo").click()
    assert page.locator(".stops li").count() == 3
    # In the card, the message is not behind the dialog.
    page.click(".parts a[href='./#faces']")
    page.locator(KEPT).first.click()
    page.evaluate("navigator.clipboard.writeText = () => Promise.resolve()")
    page.get_by_role("button", name="Copy Python").click()
    page.wait_for_selector("dialog[open] #message.on")


def test_focus_stays_where_it_was(open_page):
    page = open_page("/#walk?kept=3,5,9&terms=3-5+9&stops=3,5,9")
    page.get_by_label("Move seed 3 later").focus()
    page.keyboard.press("Enter")
    assert focused(page) == "Move seed 3 later"
    page.keyboard.press("Enter")
    wait_until(page, "location.hash.includes('stops=5,9,3')")
    assert focused(page) == "Move seed 3 later", "although it can't go on"
    page.get_by_label("Remove seed 9").last.focus()
    page.locator(".stops").get_by_label("Remove seed 9").focus()
    page.keyboard.press("Enter")
    assert focused(page) == "Remove seed 3", "the next face"
    page.click(".parts a[href='./#mix']")
    weight = page.get_by_role("slider", name="Weight of seed 5")
    weight.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "1.3"
    wait_until(page, "location.hash.includes('terms=3-1.3*5+9')")
    page.get_by_label("Minus seed 5; change the sign").focus()
    page.keyboard.press("Enter")
    assert focused(page) == "Plus seed 5; change the sign"
    page.locator(".terms").get_by_label("Remove seed 9").focus()
    page.keyboard.press("Enter")
    assert focused(page) == "Remove seed 5", "the last face"


def test_seeds_and_shortcuts(open_page):
    page = open_page("/#faces?first=40")
    field = page.get_by_label("First seed")
    for text in ("3.7", "-3", "99999999999", "abc"):
        field.fill(text)
        field.press("Enter")
        wait_for_message(page, "A seed is a whole number")
        assert field.get_attribute("aria-invalid") == "true"
    assert page.locator(".wall button[aria-label='Seed 40']").count() == 1, "the wall stays"
    field.fill("4294967294")
    field.press("Enter")
    page.wait_for_selector(".wall button[aria-label='Seed 4294967295'] img.loaded")
    assert page.locator(".wall button").count() == 2, "there are no further seeds"
    page.focus(".wall button[tabindex='0']")
    page.keyboard.press("Shift+E")
    page.wait_for_selector(".slider")
    assert page.locator(".pairing h2").inner_text() == "Seed 4294967294"
    # The exact number, the button that resets, and holding to compare.
    exact = page.get_by_label("smiling, exact strength")
    exact.fill("1.25")
    exact.press("Enter")
    wait_until(page, "location.hash.includes('(smiling=1.25)')")
    page.get_by_role("button", name="Hold to compare").focus()
    page.keyboard.down("Space")
    assert page.locator(".pair.comparing").count() == 1
    page.keyboard.up("Space")
    assert page.locator(".pair.comparing").count() == 0
    page.get_by_label("Reset smiling").click()
    assert page.locator(".slider.set").count() == 0


def test_a_part_that_loads_slowly_does_not_cover_the_next_one(open_page):
    page, waiting = open_page(), []
    page.wait_for_selector(".wall img.loaded")
    page.route("**/walk.js*", lambda route: waiting.append(route))  # no answer yet
    page.reload()
    page.wait_for_selector(".wall img.loaded")
    page.evaluate("""() => {
        const open = (part) => document.querySelector(`.parts a[href='./#${part}']`).click();
        open('walk');
        open('faces');
    }""")
    page.wait_for_timeout(600)  # the notice about a slow part comes after 300 ms
    assert page.locator(".wall img.loaded").count()
    for route in waiting:
        route.continue_()


def test_a_click_on_a_kept_face_before_the_part_opens_is_no_error(open_page):
    page, waiting = open_page("/#walk?kept=99"), []
    page.wait_for_selector("section.walk")
    page.route("**/walk.js*", lambda route: waiting.append(route))  # no answer yet
    page.reload()
    page.click(KEPT)
    for route in waiting:
        route.continue_()
    page.wait_for_selector("section.walk")


def leave_and_return(page, stop, start):
    """Use the page while the studio is stopped: it says so, and opens what was requested when the studio is back."""
    page.wait_for_selector(".wall img.loaded")
    page.route("**/walk.js*", lambda route: route.abort())  # as if it was not loaded before
    page.reload()
    page.wait_for_selector(".wall img.loaded")
    page.click(".parts a[href='./#watch']")
    page.wait_for_selector(".notice")
    stop()
    page.unroute("**/walk.js*")
    page.click(".parts a[href='./#walk']")
    page.wait_for_selector("#disconnected:not([hidden])")
    assert "trying again" in page.locator("#disconnected").inner_text()
    page.click(".parts a[href='./#faces']")
    page.get_by_role("button", name="New faces").dispatch_event("click")  # the part may be replaced at any time
    page.click(".parts a[href='./#walk']")
    start()
    page.wait_for_selector("section.walk")
    page.wait_for_selector("#disconnected", state="hidden")
    page.click(".parts a[href='./#faces']")
    page.wait_for_selector(".wall img.loaded")


def test_page_recovers_when_the_connection_breaks(open_page):
    open_page.expected.append("net::ERR_")
    page = open_page()
    leave_and_return(
        page,
        stop=lambda: page.route("**/*", lambda route: route.abort()),
        start=lambda: page.unroute("**/*"),
    )


@pytest.mark.slow
def test_page_recovers_when_the_studio_is_restarted(open_page, models):
    open_page.expected += ["net::ERR_", "503 (Service Unavailable)"]  # a studio that stops answers what still waits
    with ExitStack() as stack:
        site, studio = stack.enter_context(running_studio("--model", models[0]))
        port = int(site.rstrip("/").rpartition(":")[2])

        def stop():
            studio.terminate()
            studio.wait()

        leave_and_return(
            open_page(site=site),
            stop,
            start=lambda: stack.enter_context(running_studio("--model", models[0], port=port)),
        )


def jpeg(width, height, color=(90, 60, 40)):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), color).save(stream, "JPEG")
    return stream.getvalue()


class PhotoServer:
    """Answers a page's requests about photos, without the minutes that a real search takes. It finds two faces."""

    def __init__(self, page):
        self.uploads, self.pasted, self.searches = [], [], []
        page.route("**/api/detect", self.detect)
        page.route("**/api/invert?*", lambda route: self.searches.append(route))
        page.route("**/api/paste.png?*", self.paste)

    def detect(self, route):
        upload = Image.open(io.BytesIO(route.request.post_data_buffer))
        self.uploads.append(upload.size)
        width, height = upload.size
        boxes = [(0.1, 0.2, 0.3, 0.4), (0.6, 0.2, 0.3, 0.4)]
        faces = [
            {"box": [x * width, y * height, w * width, h * height], "landmarks": [[0, 0]] * 5} for x, y, w, h in boxes
        ]
        route.fulfill(json={"width": width, "height": height, "faces": faces})

    def finish(self, latent):
        """End the oldest search with this latent."""
        line = {"face": latent, "psnr_db": 21.5, "average_psnr_db": 14.0}
        self.searches.pop(0).fulfill(content_type="application/x-ndjson", body=json.dumps(line) + "\n")

    def paste(self, route):
        query = parse_qs(urlsplit(route.request.url).query)
        self.pasted.append((query["face"][0], query["w"][0]))
        route.fulfill(content_type="image/jpeg", body=jpeg(80, 60, (0, 0, 200)))


@pytest.fixture(scope="module")
def latent(url):
    """A face of the first model that is not a seed, as text."""
    with urllib.request.urlopen(f"{url}api/models") as answer:
        model = json.load(answer)["models"][0]["id"]
    with urllib.request.urlopen(f"{url}api/mix.json?model={model}&terms=3-5&psi=1") as answer:
        return json.load(answer)["face"]


def wait_for_count(page, things, count):
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while len(things) < count:
        assert time.monotonic() < deadline, f"{len(things)} instead of {count}"
        page.wait_for_timeout(20)


def test_a_result_belongs_to_its_face(open_page, latent):
    page = open_page("/#me")
    server = PhotoServer(page)
    page.set_input_files("input[type=file]", {"name": "two.jpg", "mimeType": "image/jpeg", "buffer": jpeg(80, 60)})
    page.wait_for_selector(".boxes button >> nth=1")
    assert page.locator(".boxes button").all_inner_texts() == ["1", "2"]
    page.get_by_role("button", name="Redraw this face").click()
    wait_for_count(page, server.searches, 1)
    page.get_by_role("button", name="Face 2").click()  # another face is chosen during the search
    server.finish(latent)
    page.wait_for_timeout(300)
    paste = page.get_by_role("button", name="Put it into the photo")
    assert paste.is_disabled(), "face 2 has no result"
    page.get_by_role("button", name="Face 1").click()
    assert "Similarity: 21.5 dB" in page.locator(".panel").inner_text()
    paste.click()
    wait_for_count(page, server.pasted, 1)
    assert server.pasted == [("1", latent)]
    page.wait_for_selector("button:has-text('Download the photo')")
    page.get_by_role("button", name="Face 2").click()
    assert page.get_by_role("button", name="Download the photo").count() == 0
    # What belongs to the old photo is gone after a bad upload.
    page.set_input_files("input[type=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"not a photo"})
    wait_until(page, "document.querySelector('.panel [role=status]').innerText.includes('not a photo')")
    assert page.locator(".shown").is_hidden()
    assert page.get_by_role("button", name="Redraw this face").is_disabled()
    page.set_input_files("input[type=file]", {"name": "a.heic", "mimeType": "image/heic", "buffer": b"\0\0\0 ftypheic"})
    wait_until(page, "document.querySelector('.panel [role=status]').innerText.includes('HEIC')")


def test_large_photo_is_scaled_down_in_the_browser(open_page):
    page = open_page("/#me")
    server = PhotoServer(page)
    page.set_input_files("input[type=file]", {"name": "50.jpg", "mimeType": "image/jpeg", "buffer": jpeg(8192, 6144)})
    page.wait_for_selector(".boxes button >> nth=1")
    assert server.uploads == [(5657, 4243)]
    assert "scaled down to 5657 × 4243 pixels" in page.locator(".panel [role=status]").inner_text()


def test_dropped_file_does_not_replace_the_page(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    drop = (
        "(() => { const data = new DataTransfer(); data.items.add(new File(['x'], 'x.txt', { type: 'text/plain' }));"
        " return ['dragover', 'drop'].map((name) => { const event = new DragEvent(name,"
        " { dataTransfer: data, bubbles: true, cancelable: true });"
        " document.querySelector('.tray').dispatchEvent(event); return event.defaultPrevented; }); })()"
    )
    assert page.evaluate(drop) == [True, True]


def test_film_is_downloaded_once_and_waits_with_reduced_motion(open_page):
    page = open_page("/#walk?kept=3,5", reduced_motion="reduce")
    page.wait_for_selector("video:not([hidden])")
    films = []
    page.on("request", lambda request: "walk.gif" in request.url and films.append(request.url))
    with page.expect_download():
        page.get_by_role("button", name="Download GIF").dblclick()
    page.wait_for_timeout(300)
    assert len(films) == 1
    assert page.evaluate("document.querySelector('video').paused")


def choose_in_menu(page, name):
    page.get_by_role("button", name="Menu").click()
    page.locator("#menu").get_by_role("button", name=name).click()


def drop_file(page, content, name, media_type):
    """Drop a file onto the tray."""
    page.evaluate(
        "([base64, name, type]) => { const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));"
        " const data = new DataTransfer(); data.items.add(new File([bytes], name, { type }));"
        " document.querySelector('.tray').dispatchEvent("
        "new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); }",
        [base64.b64encode(content).decode(), name, media_type],
    )


def drop_into_dialog(page, content, name):
    page.evaluate(
        "([base64, name]) => { const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));"
        " const data = new DataTransfer(); data.items.add(new File([bytes], name, { type: 'image/png' }));"
        " document.querySelector('dialog[open] .photo').dispatchEvent("
        "new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); }",
        [base64.b64encode(content).decode(), name],
    )


def test_a_dropped_picture_is_searched_for_the_watermark(open_page):
    face = io.BytesIO()
    Image.fromarray(facesmith.load().sample([7], watermark=True)[0]).save(face, "PNG")
    plain = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(plain, "PNG")
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    choose_in_menu(page, "Was this picture generated?")
    address = page.evaluate("location.hash")
    drop_into_dialog(page, face.getvalue(), "face.png")
    page.get_by_text("Yes: it has the watermark of Facesmith.").wait_for()
    assert "Watermark: yes" in page.locator("dialog[open] ul").inner_text()
    drop_into_dialog(page, plain.getvalue(), "plain.png")
    page.get_by_text("No watermark was found.").wait_for()
    assert page.evaluate("location.hash") == address, "the page has not opened the picture"


def test_variations_and_children_go_on_from_a_face(open_page):
    page = open_page("/#edit?face=7(smiling=1)&terms=3-5")
    page.get_by_text("Variations of this face").click()
    wait_until(page, "document.querySelectorAll('.offspring img.loaded').length === 8")
    first = page.locator(".offspring img").first.get_attribute("src")
    page.get_by_role("button", name="More", exact=True).click()
    wait_until(page, f"document.querySelector('.offspring img').src !== '{first}'")
    page.get_by_role("button", name="Keep variation 9").click()
    wait_for_kept(page, "variation 9")
    page.get_by_role("button", name="Edit variation 10").click()
    wait_until(page, "location.hash.includes('face=w.')")
    page.go_back()
    wait_until(page, "location.hash.includes('face=7(smiling=1)')")
    page.get_by_text("More directions, found without labels").click()
    page.get_by_role("slider", name="pca 1", exact=True).fill("1")
    wait_until(page, "location.hash.includes('face=7(smiling=1,pca_1=1)')")
    page.wait_for_selector(".pair .after img.loaded")
    page.click(".parts a[href='./#mix']")
    page.get_by_text("Children of the first two faces").click()
    wait_until(page, "document.querySelectorAll('section.mix .offspring img.loaded').length === 8")
    page.get_by_role("button", name="Keep child 1").click()
    wait_for_kept(page, "variation 9", "child 1")


def test_pictures_and_projects_are_opened_again(open_page, tmp_path):
    page = open_page("/#edit?face=7(smiling=1)&kept=3,5&psi=0.8")
    page.wait_for_selector(".pair .after img.loaded")
    with page.expect_download() as picture:
        page.get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as project:
        choose_in_menu(page, "Save project")
    with page.expect_download() as faces:
        choose_in_menu(page, "Download several faces")
        page.locator("dialog[open]").get_by_role("button", name="Download", exact=True).click()
    with zipfile.ZipFile(faces.value.path()) as archive:
        assert {"contact-sheet.png", "faces.csv"} < set(archive.namelist())
    # A picture opens as the face it shows, and a project with everything.
    other = open_page()
    other.wait_for_selector(".wall img.loaded")
    drop_file(other, Path(picture.value.path()).read_bytes(), "any.png", "image/png")
    wait_until(other, "location.hash.startsWith('#edit') && location.hash.includes('face=7(smiling=1)')")
    assert "psi=0.8" in other.evaluate("location.hash")
    drop_file(other, Path(project.value.path()).read_bytes(), "project.json", "application/json")
    wait_for_kept(other, "seed 3", "seed 5")
    assert other.locator(".pairing h2").inner_text() == "Seed 7"
    drop_file(other, b"{}", "other.json", "application/json")
    wait_for_message(other, "not a project")
    # History leads back to earlier walls. Then everything in this browser is forgotten.
    other.click(".parts a[href='./#faces']")
    wait_until(other, "(sessionStorage.getItem('facesmith-studio-history') ?? '').includes('Wall from seed 0')")
    choose_in_menu(other, "History")
    other.get_by_role("button", name="Seed 7, smiling +1").click()
    wait_until(other, "location.hash.startsWith('#edit')")
    choose_in_menu(other, "Forget everything")
    other.locator("dialog[open]").get_by_role("button", name="Forget everything").click()
    wait_until(other, "document.querySelector('.wall img.loaded') && !location.hash.includes('kept')")
    assert kept_count(other) == 0
    assert other.evaluate("localStorage.length + (sessionStorage.getItem('facesmith-studio-history') ? 1 : 0)") == 0


def test_history_has_an_entry_for_each_model(open_page):
    page = open_page("/#edit?face=7&kept=3")
    stored = "JSON.parse(sessionStorage.getItem('facesmith-studio-history') ?? '[]').filter(({ face }) => face === '7')"
    wait_until(page, f"{stored}.length === 1")
    page.select_option("#model", index=1)
    wait_until(page, f"{stored}.length === 2")
    choose_in_menu(page, "History")
    with page.expect_request(lambda request: "face.png" in request.url):
        page.get_by_role("button", name="Seed 7, tiny").click()
    wait_until(page, "document.querySelector('#model').selectedIndex === 0")


def test_stage_mode_is_played_with_keys(open_page):
    page = open_page("/#walk?stops=3,5")
    page.get_by_role("button", name="Stage mode").click()
    page.get_by_role("button", name="Start", exact=True).click()
    with page.expect_request(lambda request: "mix.png" in request.url and "%3D0.25" in request.url):
        page.keyboard.press("ArrowUp")
    page.wait_for_selector(".stage-hint:has-text('0.25')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#stage", state="detached")


@pytest.mark.skipif(not FIREFOX.exists(), reason=f"no browser at {FIREFOX}")
def test_main_parts_work_in_firefox(url, tmp_path):
    right = "\ue014"  # the arrow key
    firefox = Firefox(tmp_path)
    try:
        firefox.open(url)
        firefox.wait_until("document.querySelectorAll('.wall img.loaded').length > 8")
        for seed in (3, 5):
            firefox.click(f".wall button[aria-label='Seed {seed}']")
        firefox.wait_until("location.hash.includes('kept=3,5')")
        firefox.send("WebDriver:Refresh")
        firefox.wait_until("document.querySelectorAll('#tray-faces li').length === 2")
        firefox.click(".parts a[href='./#edit']")
        firefox.wait_until("document.querySelectorAll('.pair img.loaded').length === 2")
        firefox.press("input[type=range][aria-label=smiling]", 5 * right)
        firefox.wait_until("location.hash.includes('face=3(smiling=0.5)')")
        firefox.wait_until("document.querySelectorAll('.pair img')[1].alt.includes('smiling +0.5')")
        firefox.click(".parts a[href='./#mix']")
        firefox.wait_until("document.querySelector('.slot')")
        for place in (1, 2):
            firefox.click(f"#tray-faces li:nth-child({place}) button")
        firefox.wait_until("document.querySelector('.result img.loaded')")
        assert firefox.evaluate("document.querySelector('.result code').innerText") == "3 − 5"
        firefox.click(".parts a[href='./#walk']")
        firefox.wait_until("document.querySelectorAll('.stops li').length === 2")
        firefox.send("WebDriver:Back")
        firefox.wait_until("document.querySelectorAll('.term').length === 2")
        firefox.click(".term:first-child [data-control=remove]")
        firefox.click("#message button")
        firefox.wait_until("document.querySelectorAll('.term').length === 2")
        for part in ("me", "watch", "evaluation"):
            firefox.click(f".parts a[href='./#{part}']")
            firefox.wait_until(f"document.querySelector('.parts [aria-current]').hash === '#{part}'")
            firefox.wait_until("document.querySelector('main section h1')")
    finally:
        firefox.close()


def change_models(page, **facts):
    """Change what the server says about its models, and load the page again."""

    def changed(route):
        answer = route.fetch().json()
        for model in answer["models"]:
            model.update(facts)
        route.fulfill(json=answer)

    page.route("**/api/models", changed)
    page.reload()


def test_layers_of_two_faces_are_mixed(open_page):
    page = open_page("/#mix?terms=3-5&mix=layers")
    sums = []

    def draw(route):
        sums.append(parse_qs(urlsplit(route.request.url).query))
        route.fulfill(content_type="image/jpeg", body=jpeg(16, 16))

    page.route("**/api/mix.png?*", draw)
    change_models(page, num_ws=6)
    page.wait_for_selector(".result img.loaded")
    assert (sums[-1]["terms"], sums[-1]["layers"]) == (["3+5"], ["0-2"])
    page.get_by_label("Last layer of the second face").select_option("5")
    wait_until(page, "location.hash.includes('layers=0-5')")
    wait_for_count(page, sums, 2)
    assert sums[-1]["layers"] == ["0-5"]
    assert page.locator(".result code").inner_text() == "3 with layers 0-5 of 5"


def test_faces_are_described_for_people_who_cannot_see_them(open_page):
    page = open_page("/#faces?kept=3,5&terms=3-5")

    def describe(route):
        query = parse_qs(urlsplit(route.request.url).query)
        route.fulfill(json={"text": f"smiling, face {query.get('seed', query.get('w'))[0]}"})

    page.route("**/api/describe.json?*", describe)
    change_models(page, can_describe=True)
    page.wait_for_selector(".wall img.loaded")

    def wait_for_description(text, place="p.visually-hidden[aria-live]"):
        page.locator(place, has_text=text).wait_for(state="attached")

    page.focus(".wall button[tabindex='0']")
    page.keyboard.press("ArrowRight")
    wait_for_description("smiling, face 1")
    page.click(".wall button[aria-label='Seed 2']")
    wait_for_description("smiling, face 2")
    page.focus(KEPT)
    page.keyboard.press("ArrowRight")
    wait_for_description("smiling, face 5")
    page.keyboard.press("Enter")
    wait_for_description("Smiling, face 5", "#card .description")
    page.keyboard.press("Escape")
    page.focus(".wall button[tabindex='0']")
    page.keyboard.press("e")
    wait_for_description("Smiling, face 2", ".edit .description")
    page.click(".parts a[href='./#mix']")
    wait_for_description("Smiling, face w.", ".mix .description")  # the result of the sum


def test_failed_pictures_say_why(open_page):
    open_page.expected.append("400 (Bad Request)")
    page = open_page("/#faces?kept=3")
    page.wait_for_selector(".wall img.loaded")
    reason = "This reason is long enough to need several lines on a small tile, and then some more."
    page.route("**/api/face.png?*", lambda route: route.fulfill(status=400, json={"error": reason}))
    page.get_by_role("button", name="New faces").click()
    page.wait_for_selector(".wall .error")
    wait_for_message(page, reason)
    assert page.evaluate("document.querySelector('.wall .error span').clientHeight > 3 * 15"), "the text is wrapped"
    page.click(".wall button")
    page.wait_for_selector("#message.on button:has-text('Undo')", state="detached")


def test_another_part_starts_at_its_top_with_the_focus(open_page):
    page = open_page()
    page.wait_for_selector(".wall img.loaded")
    page.focus(".wall button[tabindex='0']")
    page.keyboard.press("End")
    page.keyboard.press("End")
    wait_until(page, "scrollY > 300")
    before = page.evaluate("scrollY")
    page.keyboard.press("e")
    page.wait_for_selector("section.edit")
    wait_until(page, "scrollY === 0 && document.activeElement.id === 'main'")
    page.go_back()
    page.wait_for_timeout(300)
    wait_until(page, f"Math.abs(scrollY - {before}) < 5")


def test_wall_and_kept_faces_are_downloaded_together(open_page):
    page = open_page("/#faces?first=40&kept=3,5&psi=0.8")
    page.wait_for_selector(".wall img.loaded")

    def download(faces, count, file):
        choose_in_menu(page, "Download several faces")
        page.locator("dialog select").first.select_option(faces)
        if count:
            page.get_by_label("Number of faces").fill(str(count))
        page.get_by_label("File").select_option(file)
        page.locator("dialog select").last.select_option("2")
        with page.expect_download() as downloaded:
            page.locator("dialog[open]").get_by_role("button", name="Download", exact=True).click()
        page.locator("dialog[open] [role=status]", has_text="downloaded").wait_for()
        page.keyboard.press("Escape")
        return Path(downloaded.value.path())

    with zipfile.ZipFile(download("wall", 3, "zip")) as archive:
        names = archive.namelist()
        assert [each for each in names if "seed" in each] == [f"00{i + 1}-seed{40 + i}.png" for i in range(3)]
        assert Image.open(io.BytesIO(archive.read(names[0]))).size == (32, 32)
    with Image.open(download("kept", None, "sheet")) as sheet:
        assert sheet.width > 2 * 2 * 128


def test_address_holds_the_contact_sheets(open_page, training_studio, run):
    site, _ = training_studio
    page = open_page("#watch", site=site)
    page.wait_for_selector(".sheet img.loaded")
    page.locator(".sheet").first.click(position={"x": 9, "y": 9})
    page.get_by_label("Seed", exact=True).fill("9")
    page.keyboard.press("Enter")
    page.get_by_label("Compare with a second contact sheet").check()
    page.get_by_label("Time of sheet B").fill("1")
    wait_until(page, "/follow=A9$/.test(location.hash) && /sheets=[0-9a-f]{12},[0-9a-f]{12}-2000&/.test(location.hash)")
    other = open_page(page.evaluate("location.hash"), site=site)
    other.wait_for_selector(".sheet img[alt='Faces of seeds 0 to 63 of first after 2.0 kimg'].loaded")
    other.wait_for_selector(".sheet img[alt='Faces of seeds 0 to 63 of first after 3.0 kimg'].loaded")
    assert other.locator(".timeline canvas").first.get_attribute("aria-label") == "Seed 9 after 1.0 kimg"
    assert other.get_by_text("The run of this link is not open here").is_hidden()
    # Back returns to the checkpoint that was on the screen.
    other.get_by_label("Time of sheet A").fill("0")
    other.wait_for_selector(".sheet img[alt='Faces of seeds 0 to 63 of first after 1.0 kimg'].loaded")
    other.click(".parts a[href='./#mix']")
    other.go_back()
    other.wait_for_selector(".sheet img[alt='Faces of seeds 0 to 63 of first after 1.0 kimg'].loaded")
    stranger = open_page("#watch?sheets=0123456789ab-2000&follow=B99", site=site)
    stranger.get_by_text("The run of this link is not open here").wait_for()
    stranger.wait_for_selector(".sheet img[alt='Faces of seeds 0 to 63 of first after 3.0 kimg'].loaded")


def start_stage(page, button):
    page.get_by_role("button", name="Stage mode").click()
    page.locator("#stage").get_by_role("button", name=button).click()
    page.locator("#stage button[aria-pressed=true]").wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_selector("#stage canvas")


def test_midi_controllers_move_directions_on_stage(open_page):
    page = open_page("/#walk?stops=3,5")
    page.add_init_script(
        "window.midi = { onmidimessage: null };"
        " navigator.requestMIDIAccess = async () => ({ inputs: new Map([['first', window.midi]]) });"
    )
    page.reload()
    start_stage(page, "Use MIDI")
    for message, strength in (([0xB0, 21, 127], 3), ([0xB3, 21, 0], -3), ([0x90, 0, 127], 3)):
        with page.expect_request(lambda request, s=strength: f"smiling%3D{s}" in request.url):
            page.evaluate("(data) => window.midi.onmidimessage({ data })", message)
    page.keyboard.press("Escape")
    page.wait_for_selector("#stage", state="detached")
    assert page.evaluate("window.midi.onmidimessage") is None, "it listens no longer"


def test_microphone_changes_the_variety_on_stage(open_page):
    page = open_page("/#walk?stops=3,5&psi=0.2")
    page.context.grant_permissions(["microphone"])
    start_stage(page, "Microphone sets the variety")
    with page.expect_request(lambda request: "mix.png" in request.url and psi_of(request) >= 0.4):
        pass


def psi_of(request):
    return float(parse_qs(urlsplit(request.url).query)["psi"][0])


def test_osc_messages_move_directions_on_stage(open_page, training_studio):
    from test_studio_osc import udp_client

    site, port = training_studio
    page = open_page("#walk?stops=3,5", site=site)
    start_stage(page, "Use OSC")
    with udp_client(port) as client:
        with page.expect_request(lambda request: "smiling%3D1.5" in request.url):
            client.send_message("/smiling", 1.5)
        client.send_message("/speed", 4)
        with page.expect_request(lambda request: "*42(smiling" in unquote(request.url)):
            client.send_message("/seed", 42)  # the walk goes there next


def test_camera_takes_a_photo(open_page):
    page = open_page("/#me")
    page.context.grant_permissions(["camera"])
    server = PhotoServer(page)
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    page.wait_for_selector(".boxes button >> nth=1")
    assert server.uploads[0][0] >= 320
    assert page.evaluate("document.querySelector('video').srcObject.active") is False, "the camera is off again"


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_avif_photo_is_shown_and_sent_as_jpeg(open_page):
    stream = io.BytesIO()
    Image.new("RGB", (80, 60), (90, 60, 40)).save(stream, "AVIF")
    page = open_page("/#me")
    server = PhotoServer(page)
    photo = {"name": "photo.avif", "mimeType": "image/avif", "buffer": stream.getvalue()}
    page.set_input_files("input[type=file]", photo)
    page.wait_for_selector(".boxes button >> nth=1")
    assert server.uploads == [(80, 60)]
    assert page.locator(".shown canvas").is_visible()


def test_links_are_copied_and_the_camera_says_what_it_needs_without_https(open_page):
    page = open_page()
    page.add_init_script(
        "delete Navigator.prototype.clipboard; delete Navigator.prototype.mediaDevices;"
        " Object.defineProperty(window, 'isSecureContext', { value: false });"
    )
    page.reload()
    page.wait_for_selector(".wall img.loaded")
    choose_in_menu(page, "Copy link")
    wait_for_message(page, "Link copied")
    field = page.get_by_label("First seed")
    field.fill("")
    page.keyboard.press("Control+v")
    assert field.input_value() == page.url
    page.click(".parts a[href='./#me']")
    page.get_by_role("button", name="Use the camera").click()
    wait_for_message(page, "over HTTPS")


EVALUATION = {
    "verdicts": [{"question": "Are they faces?", "answer": "The detector finds a face in 98 % of the samples."}] * 4,
    "metrics": [
        {"name": "kid5k_lite0", "meaning": "distance between samples and real faces; lower is better"}
        | {"value": 0.00471, "low": 0.0044, "high": 0.00503, "real": 0.0000207}
    ],
    "face_rate": {"value": 0.98, "low": 0.97, "high": 0.99, "real": 0.98},
    "warnings": [],
    "notice": None,
    "about": "5000 samples, compared with 3251 held-out faces.",
    "nearest_pairs": [],
    "threshold": 0.6,
}


def test_nothing_is_cut_off_on_a_small_phone(open_page):
    page = open_page("/#faces?kept=3,5", viewport={"width": 320, "height": 640})
    page.route("**/api/evaluation?*", lambda route: route.fulfill(json=EVALUATION))
    page.wait_for_selector(".wall img.loaded")

    def is_cut(selector):
        page.wait_for_selector(selector)
        return page.locator(selector).evaluate("(e) => e.scrollWidth > e.clientWidth")

    for name in ("History", "Download several", "Stage mode", "Forget everything"):
        choose_in_menu(page, name)
        assert not is_cut("dialog[open]"), name
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog[open]", state="detached")
    page.locator(KEPT).first.click()
    assert not is_cut("#card[open]")
    page.keyboard.press("Escape")
    page.click(".parts a[href='./#evaluation']")
    assert not is_cut(".table.stacked")
    page.click(".parts a[href='./#me']")
    frame, button = (page.locator(each).bounding_box() for each in (".photo", ".photo .row"))
    assert button["y"] + button["height"] < frame["y"] + frame["height"], "the buttons are inside the frame"
