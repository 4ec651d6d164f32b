"""Measure the watermark: how often it is found after a change, how small it is, and how often chance looks like it.

Marked are generated faces and real ones; every change of `CHANGES` is applied to each marked face. False positives are
counted on the real faces without watermark, by the full search of `facesmith detect`. The metrics of an evaluation are
computed for samples with and without watermark. `--photos` pastes generated faces into photos, as `invert --paste`
does. `--screenshots` opens the studio in Chromium and looks for each visible face of the wall, at device scales 1 and
2.

Run: python benchmarks/watermark.py --data faces --count 2000 [--model runs/first] [--unmarked 2000] [--metrics]
    python benchmarks/watermark.py --data faces --count 0 --photos lfw.zip --pasted 100 --screenshots 5
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

import facesmith
from facesmith.errors import BadPicture
from facesmith.faces import open_faces
from facesmith.inversion.face_template import locate_face
from facesmith.inversion.paste import paste_into_original
from facesmith.metrics.comparison import scores_with_intervals
from facesmith.metrics.features import extract_features, open_extractor
from facesmith.photos.sources import iterate_photos, open_source
from facesmith.pictures.original_photo import read_original
from facesmith.watermark.embed import watermarked
from facesmith.watermark.find_mark import find
from facesmith.watermark.key import patterns_of
from facesmith.watermark.measure import frame_of, score, strengths

KEYS = 2000
VISIBLE_FACES = """() => [...document.querySelectorAll('.wall img.loaded')]
    .map((image) => image.getBoundingClientRect())
    .filter(({ top, bottom }) => top >= document.querySelector('.top').getBoundingClientRect().bottom
      && bottom <= document.querySelector('.tray').getBoundingClientRect().top)
    .map(({ left, top, width, height }) => [left, top, width, height])"""


def saved_as(kind, pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return np.asarray(Image.open(content).convert("RGB"))


def resized(pixels, side, how=Image.Resampling.BICUBIC):
    return np.asarray(Image.fromarray(pixels).resize((side, side), how))


def cropped(pixels):
    cut = round(0.03 * pixels.shape[0])
    return pixels[cut:-cut, cut:-cut]


def contrast(pixels, factor, center):
    return np.rint((pixels - float(center)) * factor + center).clip(0, 255).astype(np.uint8)


CHANGES = {
    "untouched": lambda x: x,
    "JPEG, quality 75": lambda x: saved_as("JPEG", x, quality=75),
    "WebP, quality 70": lambda x: saved_as("WEBP", x, quality=70),
    "enlarged 4x and back (bicubic)": lambda x: resized(resized(x, 4 * len(x)), len(x)),
    "brightness +20 %": lambda x: contrast(x, 1.2, 0),
    "brightness -20 %": lambda x: contrast(x, 0.8, 0),
    "contrast +20 %": lambda x: contrast(x, 1.2, 128),
    "contrast -20 %": lambda x: contrast(x, 0.8, 128),
    "3 % cut off at each side": cropped,
    "mirrored": lambda x: x[:, ::-1],
}
SLOW_CHANGES = {"3 % cut off, then resized to the old size": lambda x: resized(cropped(x), len(x))}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="real faces, of which none is marked")
    parser.add_argument("--model", type=Path, help="default: the bundled generator")
    parser.add_argument("--size", type=int, default=64, help="of the real faces")
    parser.add_argument("--count", type=int, default=2000, help="faces that are marked, of each kind")
    parser.add_argument("--unmarked", type=int, default=0, help="real faces that are searched without a watermark")
    parser.add_argument("--metrics", action="store_true", help="evaluate samples with and without watermark")
    parser.add_argument("--photos", type=Path, help="photos of faces, into which generated faces are pasted")
    parser.add_argument("--pasted", type=int, default=100, help="how many photos")
    parser.add_argument("--screenshots", type=int, default=0, help="walls of the studio, at each device scale")
    options = parser.parse_args()
    model, real = facesmith.load(options.model), open_faces(options.data, options.size, 3, console=Console(stderr=True))
    if options.photos:
        report_pasted(model, options.photos, options.pasted)
    if options.screenshots:
        report_screenshots(model, options.screenshots)
    if options.count:
        generated = model.sample(range(options.count))
        kinds = {f"generated, {generated.shape[1]} px": generated}
        kinds[f"real, {options.size} px"] = real.pixels[: options.count]
        for kind, faces in kinds.items():
            report(kind, np.asarray(faces))
        report_chance(np.asarray(real.pixels[:50]))
    if options.unmarked:
        report_false_positives(np.asarray(real.pixels[: options.unmarked]))
    if options.metrics:
        report_metrics(model, real)


def report(kind, faces):
    start = time.process_time()
    marked = watermarked(faces)
    seconds = time.process_time() - start
    errors = np.square(marked.astype(np.float32) - faces).mean((1, 2, 3))
    psnr = 10 * np.log10(255**2 / errors)
    print(f"\n{kind}: {len(faces)} faces, PSNR {psnr.mean():.1f} dB, at least {psnr.min():.1f} dB, ", end="")
    print(f"{1e3 * seconds / len(faces):.2f} ms per face", flush=True)
    print("| change | found | score, median | 1 % of scores are below |\n|---|---|---|---|")
    for name, change in CHANGES.items():
        report_change(name, [find(change(face)) for face in marked])
    for name, change in SLOW_CHANGES.items():
        report_change(name, [find(change(face)) for face in marked[: len(marked) // 20]])


def report_change(name, found):
    scores = [each.score for each in found]
    share = np.mean([each.significant for each in found])
    low = np.quantile(scores, 0.01)
    print(f"| {name} ({len(found)}) | {share:.1%} | {np.median(scores):.1f} | {low:.1f} |", flush=True)


def report_chance(faces):
    """The distribution of the score of unmarked faces, over random keys, at one place and contrast."""
    keys = [patterns_of(f"key {number}") for number in range(KEYS)]
    strength = np.stack([[score(strengths(frame_of(face[None]), key)[0], key) for key in keys] for face in faces[:10]])
    print(
        f"\n{strength.size} scores of unmarked faces (the best of ten contrasts): largest {strength.max():.2f}", end=""
    )
    print(f", mean {strength.mean():.2f}, standard deviation {strength.std():.2f}")
    for z in (2, 3, 4):
        print(f"score >= {z}: {(strength >= z).mean():.5f}; bound {10 * np.exp(-(z**2) / 2):.5f}")


def report_false_positives(faces):
    start, found = time.process_time(), []
    for face in faces:
        found.append(facesmith.detect(face))
        if len(found) % 100 == 0 or len(found) == len(faces):
            seconds = (time.process_time() - start) / len(found)
            print(f"unmarked: {sum(each.significant for each in found)} of {len(found)} found, ", end="")
            print(f"smallest p {min(each.p_value for each in found):.2g}, ", end="")
            print(f"largest score {max(each.score for each in found):.2f}, {seconds:.1f} s per face", flush=True)


def report_metrics(model, real, count=5000):
    console, extractor = Console(stderr=True), open_extractor("lite0")
    test = extract_features(extractor, np.asarray(real.pixels[real.part("test")]), "test faces", console)
    samples = model.sample(range(count))
    for name, faces in (("without", samples), ("with", watermarked(samples))):
        scores = scores_with_intervals(test, extract_features(extractor, faces, f"samples {name} watermark", console))
        text = ", ".join(f"{key} {each.value:.4f} ({each.low:.4f}-{each.high:.4f})" for key, each in scores.items())
        print(f"{name} watermark: {text}", flush=True)


def report_pasted(model, photos, count):
    """Paste generated faces into photos, save these, and look for the watermark as `facesmith detect` does."""
    template, pasted, sides = model.inverter.template, [], []
    points = template.targets(model.resolution)
    with closing(open_source(photos)) as source:
        for photo in iterate_photos(source, 1):
            original = read_original(source.store.read(photo.source))
            try:
                located = locate_face(original.pixels, template, model.resolution, 3)
            except BadPicture:
                continue
            face = model.sample([len(pasted)])[0]
            pasted.append(paste_into_original(original, face, located.matrix, points)[..., :3])
            sides.append(model.resolution / np.hypot(*located.matrix[:, 0]))
            if len(pasted) == count:
                break
    print(f"\npasted into photos: {len(pasted)}, side of the pasted face {np.median(sides):.0f} px (median)")
    print("| change | found | score, median | 1 % of scores are below |\n|---|---|---|---|")
    report_change("pasted, PNG", list(map(facesmith.detect, pasted)))
    report_change("pasted, JPEG, quality 85", [facesmith.detect(saved_as("JPEG", each, quality=85)) for each in pasted])


def report_screenshots(model, walls):
    """Look for the watermark in each visible face of the studio's wall, on screenshots."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "facesmith", "studio", "--port", "0", "--no-browser", "--model", str(model.path)]
    print("\n| device scale | shown at | faces | found |\n|---|---|---|---|")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as studio, sync_playwright() as playwright:
        try:
            url = studio.stderr.readline().split()[4]
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for scale in (1, 2):
                page = browser.new_context(
                    viewport={"width": 1280, "height": 900}, device_scale_factor=scale
                ).new_page()
                found, shown = [], 0
                for wall in range(walls):
                    page.goto(f"{url}#faces?first={100 * wall}")
                    page.reload()
                    page.wait_for_selector(".wall img.loaded")
                    page.wait_for_timeout(3000)
                    screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
                    for left, top, width, height in page.evaluate(VISIBLE_FACES):
                        shown = width * scale
                        box = [round(each * scale) for each in (left, top, left + width, top + height)]
                        found.append(facesmith.detect(screen[box[1] : box[3], box[0] : box[2]]).significant)
                print(f"| {scale} | {shown:.0f} px | {len(found)} | {np.mean(found):.1%} |", flush=True)
            browser.close()
        finally:
            studio.terminate()


if __name__ == "__main__":
    main()
