"""Put a run's model into the package as the bundled generator, with its directions, inversion encoder and card.

Each file is made by the command that a user would run. The discriminator is included for fine-tuning.

Run: python tools/bundle_model.py runs/best --data celeba64.zip --words "CelebA, ..." --biases biases.md
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.training.finetune import save_discriminator

SHEET = Path(__file__).parents[1] / "docs" / "assets" / "directions-bundled.png"
TOLD = ("run.json", "log.jsonl")
MOST_BYTES = {MODEL: 8 * 2**20, "directions.safetensors": 6 * 2**20, "inversion.safetensors": 6 * 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--words", required=True, help="what the data is, in words")
    parser.add_argument("--data-license", required=True)
    parser.add_argument("--license", required=True)
    parser.add_argument("--biases", type=Path, required=True)
    parser.add_argument("--name", default="facesmith-celeba64")
    options = parser.parse_args()
    file = bundled_model()
    file.parent.mkdir(exist_ok=True)
    for old in file.parent.iterdir():
        old.unlink()
    shutil.copy(options.run / MODEL, file)
    save_discriminator(options.run, file)
    data = ["--data", str(options.data)]
    verb("directions", *data)
    shutil.move(file.with_name("directions.png"), SHEET)
    verb("train-inverter", *data)
    verb("evaluate", *data, "--out", str(options.run / "evaluation"), "--force")
    report = json.loads((options.run / "evaluation" / "report.json").read_text())
    for held in (report["data"], *report["models"]):  # where files lay on this machine is nobody's business
        held["path"] = Path(held["path"]).name
    (file.parent / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    for name in TOLD:  # the card tells of the training, and then they have no place in the package
        shutil.copy(options.run / name, file.parent / name)
    verb(
        "card", "--name", options.name, "--license", options.license, "--data", options.words,
        "--data-license", options.data_license, "--biases", str(options.biases), "--force",
    )  # fmt: skip
    for name in TOLD:
        (file.parent / name).unlink()
    for name, most in MOST_BYTES.items():
        size = (file.parent / name).stat().st_size
        assert size <= most, f"{name} has {size} bytes; {most} may ship"


def verb(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "facesmith", *words], check=True)


if __name__ == "__main__":
    main()
