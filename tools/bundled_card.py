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
TRAINING_SECONDS = 21_540
BIASES = """\
The training photos are everyday pictures of adults from Flickr, with one face that is sharp, lit
and seen roughly from the front. People who look aside, sit in the dark or are younger than 20 are
missing. FairFace balances seven population groups. The groups, genders and age groups are what
annotators saw in the pictures.

The model does not keep this balance. The probe counts Middle Eastern and Southeast Asian faces as
rarer than in the data, and people between 20 and 29 as more frequent. Its intervals do not include
that it may confuse groups more often on generated faces than on photos: it takes faces that fit no
group well for Latin American ones, so the shares of other groups may be too low, and 0.0 % does not
mean none.

Glasses, caps and hands near the face fail most often, and what is rare in the data looks worse. Do
not draw conclusions about people from this model."""
OPTIONS = CardOptions(
    name="facesmith-faces128",
    license="apache-2.0",
    data="FairFace (Kärkkäinen and Joo 2021, arXiv:1908.04913): 11,230 faces of adults, cut to 2.45 eye distances, "
    "128x128, 8,996 of them trained on",
    data_license="CC BY 4.0; please name FairFace when you use the model",
    biases=BIASES,
    consent="none recorded; FairFace uses photos that their owners published on Flickr",
    labels="`male` and `young` are FairFace's own. A classifier that learned CelebA's labels gave the others, and only "
    "where it was certain, so the accuracies are those on clear cases. The directions come from the same labels",
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
