"""Take the screenshots of docs/how-to/use-the-studio.md: the studio with a model and a run.

They show generated faces only; even the "photo" of My face is one. Needs Playwright and Chromium.

Run: python tools/studio_shots.py --model MODEL --run RUN
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from facesmith.model import load

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
]
SUM = 1, 0, 2  # kept faces of the sum a - b + c
SMILING, EYEGLASSES = 11, 4  # places of these sliders, with the bundled generator
MAX_BYTES = 300_000
TIMEOUT_MS = 180_000
KEPT = "#tray-faces li > button:first-child"
PHONE = {"width": 390, "height": 780}
WIDE = {"width": 1180, "height": 860}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--kept", default="27,4,7,22,50,43,55", help="seeds of the kept faces")
    options = parser.parse_args()
    command = [sys.executable, "-m", "facesmith", "studio", "--port", "0", "--no-browser"]
    command += ["--model", str(options.model), "--run", str(options.run)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as studio, sync_playwright() as playwright:
        url = studio.stderr.readline().split()[4]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            shoot(browser, url, options.kept, photo(options.model))
        finally:
            browser.close()
            studio.terminate()


def shoot(browser: Browser, url: str, kept: str, photo: bytes) -> None:
    """Take each part of the page, wide and light; then three of them at a phone's size in dark mode."""
    page = opened(browser, url, kept, WIDE, "light")
    save(page, "faces")
    part(page, "edit")
    if page.locator(".sliders input[type=range]").count():
        for place, strength in ((SMILING, "1"), (EYEGLASSES, "1")):
            page.locator(".sliders input[type=range]").nth(place).fill(strength)
    page.wait_for_timeout(4000)
    save(page, "edit")
    part(page, "mix")
    for place in SUM:
        page.locator(KEPT).nth(place).click()
    page.wait_for_selector(".result img.loaded")
    page.wait_for_timeout(4000)
    save(page, "mix")
    part(page, "walk")
    page.wait_for_selector("video:not([hidden])")
    page.wait_for_timeout(3000)
    save(page, "walk")
    part(page, "me")
    page.set_input_files("input[type=file]", {"name": "photo.png", "mimeType": "image/png", "buffer": photo})
    page.get_by_role("button", name="Redraw this face").click()
    page.wait_for_selector("button:enabled:has-text('Edit it')")
    page.wait_for_timeout(2000)
    save(page, "me")
    part(page, "watch")
    page.wait_for_selector(".chart")
    page.wait_for_timeout(4000)
    save(page, "watch")
    part(page, "evaluation")
    page.wait_for_timeout(2000)
    save(page, "evaluation")
    phone = opened(browser, url, kept, PHONE, "dark")
    save(phone, "phone-faces")
    for name in ("edit", "mix"):
        part(phone, name)
        for place in SUM if name == "mix" else ():
            phone.locator(KEPT).nth(place).click()
        phone.wait_for_timeout(4000)
        save(phone, f"phone-{name}")


def opened(browser: Browser, url: str, kept: str, size: dict[str, int], scheme: str) -> Page:
    page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{url}#faces?kept={kept}")
    page.wait_for_selector(".wall img.loaded")
    page.wait_for_timeout(15000)
    return page


def part(page: Page, name: str) -> None:
    page.click(f".parts a[href='./#{name}']")
    page.wait_for_selector("main h1")
    page.wait_for_timeout(1000)


def save(page: Page, name: str) -> None:
    """Save a screenshot with as many colors as fit into MAX_BYTES."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colors in (256, 128, 64, 32):
        stream = io.BytesIO()
        picture.quantize(colors, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG).save(
            stream, "PNG", optimize=True
        )
        if stream.tell() <= MAX_BYTES:
            break
    (ASSETS / f"studio-{name}.png").write_bytes(stream.getvalue())
    print(f"studio-{name}.png  {stream.tell() // 1000} kB, {colors} colors")


def photo(model: Path) -> bytes:
    """A "photo" that shows no real person: a generated face, enlarged, on gray."""
    face = (
        Image.fromarray(load(model).sample([14])[0].squeeze())
        .convert("RGB")
        .resize((300, 300), Image.Resampling.BICUBIC)
    )
    canvas = Image.fromarray(np.full((420, 560, 3), 150, np.uint8))
    canvas.paste(face.resize((300, 300), Image.Resampling.BICUBIC), (130, 60))
    stream = io.BytesIO()
    canvas.save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main()
