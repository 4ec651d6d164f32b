"""Write the card of the bundled generator, from the bundled files and the facts below.

The run folder is not bundled, so this script states what the card says about it. A test compares the bundled card with
the output of this script.

Run: python tools/bundled_card.py
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from facesmith.card.facts import CardOptions
from facesmith.card.write_card import write_card
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.classifier_file import KIND
from facesmith.modelfiles.evaluation_file import EVALUATION
from facesmith.modelfiles.frontmatter import CARD
from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.run_folder import LOG, MODEL, PLAN
from facesmith.training.plan import Plan

TRAINING = {"precision": "bfloat16", "device": "cpu", "threads": 1, "max_threads": None}
TRAINING_SECONDS = 3 * 3600
BIASES = """\
The model draws what CelebA contains: faces of film and press celebrities, photographed from the front or nearly so.
They are mostly light-skinned, mostly young, often smiling, and often made up. By the labels of the data, 60 % are not
"male", 76 % are "young", 50 % "smiling", 6 % "eyeglasses" and 4 % "wearing hat".

A classifier counted these shares among 5,000 faces of the model:

| attribute | samples | real faces |
|---|---|---|
| male | 37 % | 40 % |
| young | 87 % | 84 % |
| smiling | 53 % | 49 % |
| glasses | 4.3 % | 4.7 % |
| hats | 2.1 % | 3.0 % |
| gray hair | 0.6 % | 2.4 % |
| bald | 0.2 % | 0.5 % |
| chubby | 1.0 % | 1.9 % |

What is rare in the data is even rarer among the samples, and looks worse. Hats sometimes merge with the hair, children
and old people hardly occur, and dark faces lose their features more often than light ones. Do not draw conclusions
about people from this model."""
OPTIONS = CardOptions(
    name="facesmith-celeba64",
    license="non-commercial research only, like the data; the code is Apache-2.0",
    data="CelebA (Liu et al. 2015), 22,000 faces cropped as in DCGAN tutorials, 64x64, 17,689 of them trained on",
    data_license="CelebA: non-commercial research",
    biases=BIASES,
    consent="none recorded; the photos of celebrities were collected from the web",
)


def bundled_card(folder: Path) -> Path:
    """Write the card into an empty folder, next to links to the bundled files and a record of the run."""
    model = load_model(None)
    for name in (MODEL, EVALUATION, f"{KIND}.safetensors"):
        (folder / name).symlink_to(model.path.with_name(name))
    header = model.header
    plan = Plan(
        recipe=header["recipe"], hyperparameters=header["hyperparameters"], fingerprint=header["fingerprint"],
        seed=header["seed"], mirror=header["mirror"], limit=None, budget_request={"kimg": header["seen"] / 1000},
        budget=header["seen"], save_every=header["seen"], images_per_second=header["seen"] / TRAINING_SECONDS,
        data=OPTIONS.data or "", **TRAINING,
    )  # fmt: skip
    (folder / PLAN).write_text(json.dumps(asdict(plan)))
    (folder / LOG).write_text(json.dumps({"seen": header["seen"], "seconds": TRAINING_SECONDS}) + "\n")
    return write_card(folder, options=OPTIONS)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        card = bundled_card(Path(folder)).read_text(encoding="utf-8")
    bundled_model().with_name(CARD).write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
