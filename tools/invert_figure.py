"""Draw docs/assets/invert.png (a photo, its reconstruction, and both combined) and docs/assets/invert-failures.png.

The only photo is in the public domain: Eileen Collins, by NASA, from skimage. The failures are made from it.

Run: python tools/invert_figure.py runs/first [--edit smiling=1]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from skimage.data import astronaut

import facesmith
from facesmith.explore.invert import InvertOptions, invert
from facesmith.explore.reconstruction_error import psnr, reconstruction_errors
from facesmith.inversion.face_template import locate_face
from facesmith.model import Model
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, crop_and_resize, enlarge, grid, read_picture, write_png

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
SIDE_PX = 256
QUIET = Console(quiet=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--edit", action="append", default=[])
    options = parser.parse_args()
    model = facesmith.load(options.model)
    metadata = model.provenance(
        {"Synthetic": "in part", "Description": "A public-domain photo and its reconstruction by a model."}
    )
    write_png(ASSETS / "invert.png", steps(model, options), metadata)
    write_png(ASSETS / "invert-failures.png", failures(model), metadata)


def steps(model: Model, options: argparse.Namespace) -> Pixels:
    """Photo, aligned face, encoder estimate, optimized face, and the photo with the new face, edited by --edit."""
    photo, size, channels = astronaut(), model.G.resolution, model.G.channels
    face = locate_face(photo, model.inverter.template, size, channels).face[None]
    cells = [cell(photo[:400, 24:424], "photo"), cell(face[0], "aligned face")]
    for optimize, words in ((False, "encoder"), (True, "optimized")):
        rebuilt = model.synthesize(model.invert(face, optimize=optimize))
        cells.append(cell(rebuilt[0], f"{words}, {psnr(face, rebuilt)[0]:.1f} dB"))
    for edits in [()] + ([tuple(options.edit)] if options.edit else []):
        with tempfile.TemporaryDirectory() as folder:
            photo_file, pasted = Path(folder, "photo.png"), Path(folder, "pasted.png")
            write_png(photo_file, photo)
            invert_options = InvertOptions(edits=edits, paste=pasted)
            list(invert(options.model, [photo_file], Path(folder, "sheet.png"), invert_options, console=QUIET))
            cells.append(cell(read_picture(pasted)[:400, 24:424], ", ".join(["pasted", *edits])))
    return grid(np.stack(cells), len(cells), 6)


def failures(model: Model) -> Pixels:
    """Difficult versions of the same face, each above its reconstruction."""
    size, channels = model.G.resolution, model.G.channels
    photo = Image.fromarray(astronaut())

    def located(changed: Image.Image | Pixels) -> Pixels:
        return locate_face(np.asarray(changed), model.inverter.template, size, channels).face

    covered, lit = (np.asarray(photo).copy() for _ in range(2))
    covered[128:150, 190:255] = (60, 90, 160)
    lit[:, :226] = lit[:, :226] // 4
    cases = {
        "unchanged": located(photo),
        "rotated by 30 degrees": located(photo.rotate(30, Image.Resampling.BICUBIC, center=(225, 115))),
        "mouth covered": located(covered),
        "half in shadow": located(lit),
        "blurred": located(photo.resize((80, 80), Image.Resampling.BOX).resize((512, 512), Image.Resampling.BICUBIC)),
        "wrong crop (--aligned)": crop_and_resize(np.asarray(photo.crop((120, 0, 420, 300))), size, channels),
    }
    faces = np.stack(list(cases.values()))
    rebuilt = model.synthesize(model.invert(faces))
    scores = reconstruction_errors(model, faces, rebuilt, QUIET)
    cells = [
        np.concatenate([cell(each, words), cell(new, f"{score.distance:.1f}; sample {score.best_distance:.1f}")])
        for words, each, new, score in zip(cases, faces, rebuilt, scores, strict=True)
    ]
    for words, score in zip(cases, scores, strict=True):
        print(f"{words}: {score.summary()}")
    return grid(np.stack(cells), len(cells), 6)


def cell(picture: Pixels, words: str) -> Pixels:
    """A picture resized to a square of SIDE_PX, with a caption."""
    if picture.shape[0] < SIDE_PX:
        picture = enlarge(picture, SIDE_PX // picture.shape[0])
    elif picture.shape[0] > SIDE_PX:
        picture = np.asarray(Image.fromarray(picture).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))
    return with_caption(picture, words)


if __name__ == "__main__":
    main()
