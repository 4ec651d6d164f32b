"""Put a run's model into the package as the generator that ships, with all that lies beside it.

The model, its critic (to begin from), directions, inversion encoder, evaluation and card; each by the verb that a
person would use. Run: python tools/ship.py runs/best --data celeba64.zip --words "CelebA, ..." --biases biases.md
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from facesmith.locate import MODEL, shipped_model
from facesmith.start import save_critic

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
    file = shipped_model()
    file.parent.mkdir(exist_ok=True)
    for old in file.parent.iterdir():
        old.unlink()
    shutil.copy(options.run / MODEL, file)
    save_critic(options.run, file)
    data = ["--data", str(options.data)]
    verb("directions", *data)
    verb("inverter", *data)
    verb("evaluate", *data, "--out", str(options.run / "evaluation"), "--force")
    shutil.copy(options.run / "evaluation" / "report.json", file.parent / "report.json")
    verb(
        "card", "--name", options.name, "--license", options.license, "--data", options.words,
        "--data-license", options.data_license, "--biases", str(options.biases), "--force",
    )  # fmt: skip
    for name, most in MOST_BYTES.items():
        size = (file.parent / name).stat().st_size
        assert size <= most, f"{name} has {size} bytes; {most} may ship"


def verb(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "facesmith", *words], check=True)


if __name__ == "__main__":
    main()
