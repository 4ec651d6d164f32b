"""Put the model of a run into the package as the bundled generator.

Everything that belongs to it is made with the commands that a user would run: the model, its discriminator (for
fine-tuning), directions, inversion encoder, evaluation and card.

Run: python tools/bundle_model.py runs/best --data fairface128.zip --labeled labeled.zip --description "FairFace, ..."
    --license "..." --data-license "..." --consent "..." --biases biases.md
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.run_folder import LOG, MODEL, PLAN
from facesmith.training.finetune import save_discriminator

DIRECTIONS_SHEET = Path(__file__).parents[1] / "docs" / "assets" / "directions-bundled.png"
RUN_RECORDS = (PLAN, LOG)  # the card describes the training from these; they are not bundled
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
    parser.add_argument("--description", required=True, help="of the training faces")
    parser.add_argument("--data-license", required=True)
    parser.add_argument("--license", required=True)
    parser.add_argument("--consent", required=True, help="of the people shown")
    parser.add_argument("--biases", type=Path, required=True)
    parser.add_argument("--name", default="facesmith-faces128")
    options = parser.parse_args()
    file = bundled_model()
    folder = file.parent
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    shutil.copy(options.run / MODEL, file)
    save_discriminator(options.run, file)
    data = ["--data", str(options.data)]
    facesmith("directions", "--data", str(options.labeled or options.data))
    shutil.move(folder / "directions.png", DIRECTIONS_SHEET)
    facesmith("train-inverter", *data)
    facesmith("evaluate", *data, "--attributes", "--out", str(options.run / "evaluation"), "--force")
    report = json.loads((options.run / "evaluation" / "report.json").read_text())
    for entry in (report["data"], *report["models"]):  # don't publish paths of this machine
        entry["path"] = Path(entry["path"]).name
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    for name in RUN_RECORDS:
        shutil.copy(options.run / name, folder / name)
    facesmith(
        "card", "--name", options.name, "--license", options.license, "--data", options.description,
        "--data-license", options.data_license, "--consent", options.consent, "--biases", str(options.biases),
        "--force",
    )  # fmt: skip
    for name in RUN_RECORDS:
        (folder / name).unlink()
    for name, limit in MAX_BYTES.items():
        size = (folder / name).stat().st_size
        assert size <= limit, f"{name} has {size} bytes; the limit is {limit}"


def facesmith(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "facesmith", *arguments], check=True)


if __name__ == "__main__":
    main()
