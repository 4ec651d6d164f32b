"""Draw docs/assets/hard-photos.png: photos that are hard to search, and below each the face that extract finds.

They are made from a photo in the public domain: Eileen Collins, by NASA, from skimage.

Run: python tools/hard_photos_figure.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from skimage.data import astronaut

from facesmith.photos.extract import extract
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import grid, read_picture, write_png

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
SIDE_PX = 128


def main() -> None:
    photo = Image.fromarray(astronaut())
    portrait = photo.crop((110, 0, 340, 230))
    photos = {
        "on its side": portrait.rotate(90),
        "upside down": portrait.rotate(180),
        "cut at the left": photo.crop((196, 20, 356, 180)),
        "cut at the top": photo.crop((145, 84, 305, 244)),
        "a close-up": photo.crop((175, 68, 275, 168)),
    }
    columns = []
    for caption, picture in photos.items():
        with tempfile.TemporaryDirectory() as folder:
            file, out = Path(folder, "photo.png"), Path(folder, "faces")
            picture.save(file)
            extract(file, out, size=SIDE_PX, max_fill=0.4, console=Console(quiet=True))
            face = read_picture(out / "000001.png")
        shown = np.asarray(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))
        columns.append(with_caption(np.concatenate((shown, face)), caption))
    metadata = {"Description": "Photos and extracted faces: Eileen Collins, NASA, public domain."}
    write_png(ASSETS / "hard-photos.png", grid(np.stack(columns), len(columns), 6), metadata)


if __name__ == "__main__":
    main()
