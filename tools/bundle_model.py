"""Put the model of a run into the package as the bundled generator.

Everything that belongs to it is made with the commands that a user would run: the model, its discriminator (for
fine-tuning), directions, inversion encoder, evaluation. Then tools/bundled_card.py writes the card; first put the facts
of the new model there.

Run: python tools/bundle_model.py runs/best --data fairface128.zip --labeled labeled.zip --attributes smiling,bangs
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.training.finetune import save_discriminator

DIRECTIONS_SHEET = Path(__file__).parents[1] / "docs" / "assets" / "directions-bundled.jpg"
MAX_BYTES = {
    MODEL: 8 * 2**20,
    "directions.safetensors": 6 * 2**20,
    "attributes.safetensors": 3 * 2**20,
    "inversion.safetensors": 6 * 2**20,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labeled", type=Path, help="the faces with the attributes of the directions; else --data")
    parser.add_argument("--attributes", help="the directions, as in the command directions; else the best ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_files(options, Path(folder))
        bundled = bundled_model().parent
        bundled.mkdir(exist_ok=True)
        for old in bundled.iterdir():
            old.unlink()
        shutil.copytree(folder, bundled, dirs_exist_ok=True)


def make_files(options: argparse.Namespace, folder: Path) -> None:
    """Make all bundled files but the card in an empty folder."""
    shutil.copy(options.run / MODEL, folder)
    save_discriminator(options.run, folder / MODEL)
    model, data = ["--model", str(folder)], ["--data", str(options.data)]
    chosen = ["--attributes", options.attributes] if options.attributes else []
    facesmith("directions", *model, "--data", str(options.labeled or options.data), *chosen)
    sheet = folder / "directions.png"
    Image.open(sheet).convert("RGB").save(DIRECTIONS_SHEET, quality=90)
    sheet.unlink()
    facesmith("train-inverter", *model, *data)
    facesmith("evaluate", *model, *data, "--attributes", "--out", str(options.run / "evaluation"), "--force")
    report = json.loads((options.run / "evaluation" / "report.json").read_text())
    for entry in (report["data"], *report["models"]):  # don't publish paths of this machine
        entry["path"] = Path(entry["path"]).name
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    for name, limit in MAX_BYTES.items():
        size = (folder / name).stat().st_size
        assert size <= limit, f"{name} has {size} bytes; the limit is {limit}"


def facesmith(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "facesmith", *arguments], check=True)


if __name__ == "__main__":
    main()
