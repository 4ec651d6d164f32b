"""A generator's page in a real browser: its pixels, and the page used with mouse, keyboard, links and a phone."""

from __future__ import annotations

import base64
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from marionette import FIREFOX, Firefox
from PIL import Image
from small import QUIET, saved_model, small_recipe
from test_studio import with_directions
from test_webpage import HOSTILE, VARIANTS, trained_generator
from typer.testing import CliRunner

from facesmith.cli import app
from facesmith.explore.sample import sample
from facesmith.export.webpage.page_data import page_data
from facesmith.export.webpage.scripts import joined
from facesmith.export.webpage.to_html import KERNEL, export_html
from facesmith.latent.arithmetic import combine
from facesmith.latent.from_seeds import truncate
from facesmith.latent.interpolation import walk_latents
from facesmith.model import load
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.frontmatter import front_matter
from facesmith.modelfiles.run_folder import MODEL
from facesmith.pictures.images import read_provenance
from facesmith.watermark.embed import watermarked

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
axe_playwright_python = pytest.importorskip("axe_playwright_python", reason="axe checks the accessibility")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--js-flags=--expose-gc"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a microphone that beeps
]
TIMEOUT_MS = 60_000  # long, for a busy machine
AXE = """axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) =>
    `${id}: ${nodes.map(({ target }) => target)}`))"""
DRAW = """async ({script, model, constants, code, pictures}) => {
  const worker = new Worker(URL.createObjectURL(new Blob([script])));
  const ask = (message) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
    worker.postMessage(message);
  });
  const { ready } = await ask({ model, constants, code });
  const all = [];
  for (const picture of pictures) all.push((await ask({ id: 0, picture })).pixels);
  worker.terminate();
  const bytes = await new Blob(all).arrayBuffer();
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(new Blob([bytes]));
  });
  return [ready, url.slice(url.indexOf(',') + 1)];
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def face(seed, psi=1.0, edits=None, condition=()):
    return {"kind": "face", "seed": seed, "psi": psi, "edits": edits or {}, "condition": list(condition)}


def drawn(browser, model, pictures, *, javascript=False, mark=True):
    """What the page's worker draws for pictures, uint8 `[N, H, W, 3]`, and the name of its kernel."""
    data = page_data(model, model.directions)
    values = {**data.model, "mark": data.model["mark"] if mark else None}
    page = browser.new_page()
    try:
        kernel, pixels = page.evaluate(DRAW, {
            "script": joined("worker.js"), "model": values, "constants": base64.b64encode(data.constants).decode(),
            "code": None if javascript else base64.b64encode(KERNEL.read_bytes()).decode(), "pictures": pictures,
        })  # fmt: skip
    finally:
        page.close()
    side = model.resolution
    faces = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(len(pictures), side, side, 4)
    assert (faces[..., 3] == 255).all()
    return faces[..., :3], kernel


def levels(faces, expected):
    """The largest difference of gray levels of each face."""
    difference = np.abs(faces.astype(int) - expected)
    return difference.reshape(len(faces), -1).max(1)


def untrained_model(folder, name, **values):
    """A model with random weights, whose buffers are as after training."""
    made = small_recipe(name, **values)
    nets = {**made.networks(), "G": trained_generator(name, values)}
    header = {"recipe": name, "hyperparameters": made.hyperparameters(), "seen": 0}
    folder.mkdir()
    save_model(folder / MODEL, {key: nets[key] for key in made.averaged}, header)
    return load(folder)


@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=str)
def test_a_seed_is_the_same_face_in_the_browser(name, values, browser, tmp_path):
    model = untrained_model(tmp_path / "run", name, **values)
    seeds = [0, 7, 2**32 - 1, *range(20, 25)]
    unset = [0] * len(model.conditions)
    pictures = [face(seed, psi, condition=unset) for psi in (1.0, 0.3) for seed in seeds]
    expected = np.concatenate([model.sample(seeds), model.sample(seeds, 0.3)])
    for javascript in (False, True):
        faces, kernel = drawn(browser, model, pictures, javascript=javascript, mark=False)
        assert kernel == ("JavaScript" if javascript else "WebAssembly")
        assert levels(faces, expected).max() <= 1


def test_labels_are_drawn_and_set_as_in_python(browser, tmp_path):
    model = load(saved_model(tmp_path / "run", "quick", condition=("smiling", "eyeglasses"), resolution=32))
    seeds = range(12)
    for condition, labels in (({}, [0, 0]), ({"smiling": 1}, [1, 0]), ({"smiling": 0, "eyeglasses": 1}, [-1, 1])):
        faces, _ = drawn(browser, model, [face(seed, condition=labels) for seed in seeds], mark=False)
        assert levels(faces, model.sample(seeds, condition=condition)).max() <= 1


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_the_watermark_is_the_same_in_the_browser(resolution, browser, tmp_path):
    model = untrained_model(tmp_path / "run", "quick", resolution=resolution)
    seeds = range(8)
    faces, _ = drawn(browser, model, [face(seed) for seed in seeds])
    expected = model.sample(seeds, watermark=True)
    assert levels(expected, model.sample(seeds)).min() > 1, "it changes all faces"
    # A difference of one level before the watermark may become one of several.
    assert (levels(faces, expected) <= 1).mean() >= 0.75


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run folder of a tiny model with directions, and its page."""
    folder = tmp_path_factory.mktemp("page")
    run = with_directions(saved_model(folder / "run", "quick", resolution=32))
    list(export_html(run, folder / "faces.html", license="for this <b>test</b>", console=QUIET))
    return run, folder / "faces.html"


def test_edits_sums_and_walks_are_those_of_python(browser, exported):
    model = load(exported[0])
    name, vector = next(iter(model.directions.items()))
    w = [torch.from_numpy(model.latents([seed])) for seed in (3, 5)]
    edited = w[1] + 1.5 * torch.from_numpy(vector)
    start, end, unset = {"seed": 3, "edits": {}}, {"seed": 5, "edits": {name: 1.5}}, {"condition": []}
    of_sum = {"terms": [{**start, "weight": 2}, {**end, "weight": -1}], "edits": {}}  # a term that is itself a sum
    pictures = [
        face(3, 0.5, {name: 1.5}),
        {"kind": "face", "terms": [{**start, "weight": 2}, {**end, "weight": -1}], "edits": {}, "psi": 0.8, **unset},
        {"kind": "walk", "from": start, "to": end, "t": 0.25, "edits": {}, "psi": 1, **unset},
        {
            "kind": "face",
            "terms": [{**of_sum, "weight": 1}, {**end, "weight": 1}],
            "edits": {name: -1},
            "psi": 1,
            **unset,
        },
    ]
    faces, _ = drawn(browser, model, pictures, mark=False)
    ws = torch.cat([w[0], edited])
    total = combine(model.G, ws, [2.0, -1.0])
    expected = [
        truncate(model.G, w[0], 0.5) + 1.5 * torch.from_numpy(vector),
        truncate(model.G, total, 0.8),
        walk_latents(ws, torch.tensor([0.25], dtype=torch.float64), spherical=model.G.spherical),
        combine(model.G, torch.cat([total, edited]), [1.0, 1.0]) - torch.from_numpy(vector),
    ]
    assert levels(faces, model.synthesize(torch.cat(expected).numpy())).max() <= 1


@pytest.mark.slow
def test_a_thousand_faces_of_the_bundled_generator_are_those_of_python(browser):
    model, count = load(), 1000
    faces, _ = drawn(browser, model, [face(seed) for seed in range(count)], mark=False)
    assert levels(faces, model.sample(range(count))).max() <= 1
    faces, _ = drawn(browser, model, [face(seed) for seed in range(count)])
    marked = levels(faces, watermarked(model.sample(range(count))))
    assert (marked <= 1).mean() > 0.97


@pytest.fixture
def open_page(browser, exported):
    """Opens a page from disk in a new browser profile. Afterwards, errors and any request to a site fail the test."""
    problems, contexts = [], []

    def open_in_new_profile(address="", *, file=exported[1], **options):
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 700}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: line.type != "error" or problems.append(f"{line.text} {line.location}"))
        page.on("request", lambda sent: sent.url.startswith(("file:", "blob:", "data:")) or problems.append(sent.url))
        page.goto(file.as_uri() + address)
        page.locator("canvas.drawn, .about, .mix").first.wait_for()
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


def canvas_pixels(page, selector):
    """The pixels of a drawn canvas, uint8 `[H, W, 3]`."""
    page.locator(f"{selector}.drawn").wait_for()
    side, values = page.evaluate(
        """(selector) => { const canvas = document.querySelector(selector);
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.width, Array.from(data)]; }""",
        selector,
    )
    return np.array(values, np.uint8).reshape(side, side, 4)[..., :3]


def saved_png(page, button="Save PNG"):
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value


def copied(page, button):
    """What a button copies."""
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { window.copiedText = text; }; }")
    page.get_by_role("button", name=button, exact=True).click()
    wait_until(page, "window.copiedText !== undefined")
    return page.evaluate("(() => { const text = window.copiedText; delete window.copiedText; return text; })()")


def go_to(page, part):
    page.get_by_role("navigation").get_by_role("link", name=part).click()


def test_a_saved_face_is_the_file_that_sample_writes(open_page, exported, tmp_path):
    page = open_page("#edit?face=7&psi=0.65")
    canvas_pixels(page, ".after canvas")
    download = saved_png(page)
    assert download.suggested_filename == "seed-7.png"
    download.save_as(tmp_path / "page.png")
    list(sample(lambda: load(exported[0]), [7], tmp_path / "faces", psi=0.65, console=QUIET))
    ours = tmp_path / "faces" / "seed000007.png"
    assert read_provenance(tmp_path / "page.png") == read_provenance(ours)
    (from_page, ours) = (Image.open(file) for file in (tmp_path / "page.png", ours))
    assert from_page.info["XML:com.adobe.xmp"] == ours.info["XML:com.adobe.xmp"]
    assert from_page.mode == "RGB"
    faces = [np.asarray(picture)[None] for picture in (from_page, ours)]
    assert levels(*faces).max() <= 1
    assert (canvas_pixels(page, ".after canvas") == faces[0][0]).all()


def test_the_wall_works_with_the_keyboard_and_a_link_restores_everything(open_page):
    page = open_page("#faces?first=40")
    page.locator(".wall button").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter", "ArrowLeft", "Enter", "e"):
        page.keyboard.press(key)
    page.get_by_role("heading", name="Change a face").wait_for()
    before = canvas_pixels(page, ".after canvas")
    page.get_by_role("slider").first.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    wait_until(page, "location.hash.includes('%3D0.8)') || location.hash.includes('=0.8)')")
    page.get_by_role("button", name="Keep", exact=True).click()
    wait_until(page, "document.querySelectorAll('#tray-faces li').length === 3")
    link = copied(page, "Copy link")
    after = canvas_pixels(page, ".after canvas")
    assert levels(after[None], before[None]).max() > 1
    again = open_page("#" + link.partition("#")[2])
    assert (canvas_pixels(again, ".after canvas") == after).all()
    assert again.locator("#tray-faces li").count() == 3
    page.keyboard.press("Control+z")
    wait_until(page, "location.hash.includes('=0.7)')")
    page.go_back()
    page.get_by_role("heading", name="These people do not exist").wait_for()
    pressed = page.locator(".wall [aria-pressed=true]").evaluate_all("all => all.map((each) => each.ariaLabel)")
    assert pressed == ["Seed 41", "Seed 42"]


@pytest.mark.parametrize(
    "address",
    [
        "#edit?face=99999999999&psi=7",
        "#mix?terms=<script>,1(evil=3)",
        "#x?kept=%E0%A4%A,1(__proto__=1)&__proto__=1",
        "#mix?terms=1(__proto__=1)&kept=(),(3-,((((1)))),(1)(evil=1),0*3",
        f"#mix?terms={'(' * 9000}",
        f"#x?kept={',' * 99000}",
    ],
)
def test_an_address_that_makes_no_sense_is_ignored(address, open_page):
    page = open_page(address)
    assert page.locator("#tray-faces li, .term, .error").count() == 0
    go_to(page, "Edit")
    page.get_by_role("heading", name="Seed 0").wait_for()
    assert page.locator("#tray-faces li").count() == 0


def shows(sheet, face):
    """Whether a contact sheet `[H, W, 3]` shows a face `[h, w, 3]`, except for a difference that nobody can see."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet.astype(np.int16), face.shape)[:, :, 0]
    return bool((np.abs(windows - face).mean((2, 3, 4)) < 0.5).any())


@pytest.mark.parametrize(
    ("address", "canvas", "expected"),
    [
        ("#edit?face=7&psi=0.5", ".after canvas", "facesmith sample --seeds 7 MODEL --psi 0.5 --out face.png"),
        (
            "#edit?face=7(DIRECTION=-1.5)&psi=0.5", ".after canvas",
            "facesmith edit --seeds 7 --edit DIRECTION=-1.5 --steps 1 MODEL --psi 0.5 --out edited.png",
        ),
        ("#mix?terms=-3%2B9", ".result canvas", "facesmith mix ' - 3 + 9' MODEL --out mix.png"),
        ("#mix?terms=3-0.5*9&psi=0.5", ".result canvas", "facesmith mix '3 - 0.5*9' MODEL --psi 0.5 --out mix.png"),
        (
            "#mix?terms=3-9%2B5&mix=blend", ".result canvas",
            "facesmith mix '0.333*3 + 0.333*9 + 0.333*5' MODEL --out mix.png",
        ),
        ("#edit?face=(3-9)&psi=0.5", ".after canvas", "facesmith mix '3 - 9' MODEL --psi 0.5 --out mix.png"),
    ],
    ids=["face", "edit", "minus first", "sum", "blend", "kept sum"],
)  # fmt: skip
def test_a_command_makes_the_same_picture(address, canvas, expected, open_page, exported, tmp_path):
    direction = next(iter(load(exported[0]).directions))
    page = open_page(address.replace("DIRECTION", direction))
    face = canvas_pixels(page, canvas)
    command = copied(page, "Copy command")
    assert command == expected.replace("DIRECTION", direction).replace("MODEL", "--model model.safetensors")
    words = shlex.split(command.replace("model.safetensors", str(exported[0])))[1:]
    words[-1] = str(tmp_path / words[-1])
    words += [] if words[0] == "sample" else ["--scale", "1"]
    result = CliRunner().invoke(app, ["--quiet", *words])
    assert result.exit_code == 0, result.output
    sheet = np.asarray(Image.open(words[words.index("--out") + 1]).convert("RGB"))
    assert shows(sheet, face)
    assert not shows(sheet, face[::-1])


@pytest.mark.parametrize("terms", ["3(DIRECTION=1)-9", "(3-9)%2B5"], ids=["edited face", "sum in a sum"])
def test_the_page_says_when_no_command_makes_a_picture(terms, open_page, exported):
    direction = next(iter(load(exported[0]).directions))
    page = open_page(f"#mix?terms={terms.replace('DIRECTION', direction)}")
    canvas_pixels(page, ".result canvas")
    page.get_by_text("There is no command for this picture").wait_for()
    assert page.get_by_role("button", name="Copy command").is_disabled()
    page.get_by_role("button", name="Start over").click()
    page.get_by_role("button", name="Keep", exact=True).wait_for(state="hidden")
    assert page.get_by_text("There is no command").is_hidden()


def test_a_walk_has_a_command_for_seeds_only(open_page):
    page = open_page("#walk?kept=3,9&psi=0.5")
    model = "--model model.safetensors --psi 0.5"
    assert copied(page, "Copy command") == f"facesmith walk --seeds 3,9 {model} --out walk.mp4"
    page = open_page("#walk?kept=3,(3-9)")
    page.get_by_text("There is no command for this walk").wait_for()


def test_a_sum_is_kept_as_a_face(open_page, exported):
    direction = next(iter(load(exported[0]).directions))
    page = open_page("#mix?terms=3-5%2B0.5*9&kept=3")
    total = canvas_pixels(page, ".result canvas")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name="Kept ✓").wait_for()
    go_to(page, "Edit")
    page.get_by_role("button", name="3 − 5 + 0.5 × 9", exact=True).click()
    page.get_by_role("heading", name="3 − 5 + 0.5 × 9").wait_for()
    wait_until(page, "document.querySelector('.after canvas').ariaLabel === 'The face after: 3 − 5 + 0.5 × 9'")
    page.wait_for_timeout(300)
    assert (canvas_pixels(page, ".after canvas") == total).all()
    page.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    wait_until(page, "decodeURIComponent(location.hash).includes('=0.1)')")
    link = copied(page, "Copy link")
    again = open_page("#" + link.partition("#")[2])
    after = canvas_pixels(again, ".after canvas")
    assert (after != total).any()
    model = load(exported[0])
    w = combine(model.G, torch.from_numpy(model.latents([3, 5, 9])), [1, -1, 0.5]).numpy()
    expected = watermarked(model.synthesize(w + 0.1 * model.directions[direction]))
    assert np.abs(after.astype(int) - expected[0]).mean() < 0.5
    assert again.locator("#tray-faces li").count() == 2


def test_kept_faces_are_added_subtracted_and_blended(open_page, exported, tmp_path):
    page = open_page("#mix?kept=3,5,9")
    for place in (1, 2, 3):
        page.locator(f"#tray-faces li:nth-child({place}) > button:first-child").click()
    model = load(exported[0])
    w = torch.from_numpy(model.latents([3, 5, 9]))
    expected = watermarked(model.synthesize(combine(model.G, w, [1, -1, 1]).numpy()))
    wait_until(page, "document.querySelector('.result canvas').ariaLabel === 'The result: 3 − 5 + 9'")
    page.wait_for_timeout(300)
    assert np.median(np.abs(canvas_pixels(page, ".result canvas").astype(int) - expected[0])) <= 1
    saved_png(page).save_as(tmp_path / "sum.png")
    metadata = read_provenance(tmp_path / "sum.png")
    assert (metadata["Terms"], metadata["Sum"]) == ("3-5+9", "rescaled to the norm of its terms")
    page.get_by_role("button", name="Blend").click()
    wait_until(page, "document.querySelector('.result code').textContent.startsWith('0.333 × 3')")
    page.get_by_role("button", name="Remove seed 5 from the sum").click()
    wait_until(page, "document.querySelectorAll('.term').length === 2")


def test_the_walk_plays_and_pauses(open_page):
    page = open_page("#walk?speed=4")
    first = canvas_pixels(page, ".walker canvas")
    wait_until(page, "document.querySelector('.between').textContent === 'From seed 1 to seed 2'")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(200)
    still = canvas_pixels(page, ".walker canvas")
    page.wait_for_timeout(300)
    assert (canvas_pixels(page, ".walker canvas") == still).all()
    assert (still != first).any()
    calm = open_page("#walk", reduced_motion="reduce")
    calm.get_by_role("button", name="Play").wait_for()


def test_microphone_midi_and_keys_play_the_full_screen(open_page, exported):
    page = open_page("#walk")
    page.get_by_role("button", name="Full screen").click()
    page.get_by_role("button", name="Use microphone").click()
    page.get_by_role("button", name="Use microphone ✓").wait_for()
    wait_until(page, "parseFloat(document.querySelector('.bands i').style.height) > 1")
    page.evaluate(
        "() => { navigator.requestMIDIAccess = () => Promise.reject(new DOMException('', 'NotAllowedError')); }"
    )
    page.get_by_role("button", name="Use MIDI").click()
    page.get_by_text("The keys still play the walk.").wait_for()
    page.evaluate(
        """() => { window.knobs = { name: 'Knobs' };
        navigator.requestMIDIAccess = async () => ({ inputs: new Map([['1', window.knobs]]) }); }"""
    )
    page.get_by_role("button", name="Use MIDI").click()
    page.get_by_text("MIDI: Knobs").wait_for()
    page.get_by_role("button", name="Start").click()
    first, second = (name.replace("_", " ") for name in list(load(exported[0]).directions)[:2])
    page.evaluate("window.knobs.onmidimessage({ data: [0xb0, 21, 127] })")
    page.get_by_text(f"{first} 3.00").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.get_by_text(f"{second} 0.25").wait_for()
    page.evaluate("window.knobs.onmidimessage({ data: [0x90, 60, 100] })")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Pause").wait_for()
    assert page.locator("#stage").count() == 0


def test_the_full_screen_can_be_ended_without_a_keyboard(open_page):
    page = open_page("#walk", has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740})
    page.get_by_role("button", name="Full screen").click()
    page.get_by_role("button", name="Start").click()
    page.locator("#stage canvas").tap()
    page.get_by_role("button", name="End").click()
    page.get_by_role("button", name="Pause").wait_for()
    assert page.locator("#stage").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_is_accessible_and_fits_a_phone(scheme, open_page, exported):
    name = next(iter(load(exported[0]).directions))
    address = f"?face=7({name}=1)&terms=3-5&kept=3,5,9&psi=0.5"
    page = open_page(
        f"#faces{address}", viewport={"width": 360, "height": 740}, color_scheme=scheme, reduced_motion="reduce",
        bypass_csp=True,  # axe runs as a script
    )  # fmt: skip
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 20, 18)"
    assert dark == (scheme == "dark")
    page.add_script_tag(content=Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8"))
    for part in ("Faces", "Edit", "Mix", "Walk", "About"):
        go_to(page, part)
        page.locator(f"section[aria-label={part}]").wait_for()
        wait_until(page, "document.querySelector('canvas.drawn') !== null")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, part
        assert page.evaluate(AXE) == [], part


def test_switches_of_a_conditional_model_set_its_labels(open_page, tmp_path):
    run = saved_model(tmp_path / "run", "quick", condition=("smiling", "eyeglasses"), resolution=32)
    list(export_html(run, tmp_path / "faces.html", console=QUIET))
    page = open_page("#edit?face=4", file=tmp_path / "faces.html")
    page.get_by_label("smiling").select_option("yes")
    page.get_by_label("eyeglasses").select_option("no")
    page.wait_for_timeout(300)
    condition = {"smiling": 1.0, "eyeglasses": 0.0}
    saved_png(page).save_as(tmp_path / "page.png")
    paths = sample(lambda: load(run), [4], tmp_path / "faces", condition=condition, console=QUIET)
    (folder,) = paths
    (file,) = folder.glob("*.png")
    assert read_provenance(tmp_path / "page.png") == read_provenance(file)
    assert levels(np.asarray(Image.open(tmp_path / "page.png"))[None], np.asarray(Image.open(file))).max() <= 1
    command = copied(page, "Copy command")
    assert "--condition smiling=1 --condition eyeglasses=0" in command
    page.reload()
    assert page.get_by_label("smiling").input_value() == "1"


def test_hostile_text_of_a_card_is_shown_as_text(open_page, tmp_path):
    run = with_directions(saved_model(tmp_path / "run", "quick"))
    fields = {"license": HOSTILE, "model-index": [{"name": HOSTILE}], "facesmith": {"model_sha256": load(run).hash}}
    (run / "README.md").write_text(front_matter(fields), encoding="utf-8")
    list(export_html(run, tmp_path / "faces.html", console=QUIET))
    page = open_page("#about", file=tmp_path / "faces.html")
    page.on("dialog", lambda dialog: pytest.fail("a script of the card ran"))
    assert page.get_by_text(HOSTILE, exact=False).count() >= 2
    assert page.title().startswith("</script><script>alert(1)</script>")
    wait_until(page, "document.getElementById('kernel-name').textContent === 'WebAssembly'")


def test_injected_scripts_and_requests_are_blocked(browser, exported):
    page = browser.new_page()
    refused = []
    page.on("console", lambda line: refused.append(line.text))
    page.goto(exported[1].as_uri())
    page.locator("canvas.drawn").first.wait_for()
    page.evaluate("""() => {
        const script = Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' });
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran = 1">'); }""")
    assert page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'blocked')") == "blocked"
    assert page.evaluate("window.ran") is None
    assert sum("Content Security Policy" in text for text in refused) >= 3
    page.close()


def heap_bytes(page):
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"]


# All faces within the window are drawn.
DRAWN = """[...document.querySelectorAll('.wall canvas')].every((canvas) => {
    const { top, bottom } = canvas.getBoundingClientRect();
    return bottom < 0 || top > innerHeight || canvas.classList.contains('drawn'); })"""


def scroll_through(page, count):
    """Scroll down until the wall has this many faces, and all that are visible are drawn."""
    while page.locator(".wall li").count() < count:
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(20)
        wait_until(page, DRAWN)


@pytest.mark.parametrize("count", [240, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_memory_stays_bounded_over_many_faces(count, open_page):
    page = open_page()
    scroll_through(page, 96)
    before = heap_bytes(page)
    scroll_through(page, count)
    page.get_by_role("button", name="New faces").click()
    wait_until(page, "document.querySelectorAll('.wall canvas.drawn').length > 10")
    assert heap_bytes(page) - before < 8e6
    assert page.evaluate("document.querySelectorAll('.wall canvas.drawn').length") <= 700


def test_the_page_works_without_webassembly(open_page):
    page = open_page("?javascript#about")
    wait_until(page, "document.getElementById('kernel-name').textContent === 'JavaScript'")


@pytest.mark.skipif(not FIREFOX.exists(), reason=f"no browser at {FIREFOX}")
def test_the_page_works_in_firefox(exported, tmp_path):
    firefox = Firefox(tmp_path)
    try:
        firefox.open(exported[1].as_uri() + "#edit?face=7&kept=3,5")
        firefox.wait_until("document.querySelector('.after canvas.drawn') !== null")
        firefox.wait_until("document.querySelectorAll('#tray-faces canvas.drawn').length === 2")
        problems = "(window.problems = [], addEventListener('error', ({ message }) => problems.push(message)), 1)"
        firefox.evaluate(problems)
        firefox.evaluate("(location.hash = '#walk?speed=4&first=3', 1)")
        firefox.wait_until("/^From seed [5-9]/.test(document.querySelector('.between')?.textContent)")
        firefox.evaluate("(location.hash = '#about', 1)")
        firefox.wait_until("document.getElementById('kernel-name')?.textContent === 'WebAssembly'")
        assert firefox.evaluate("window.problems.length") == 0
    finally:
        firefox.close()
