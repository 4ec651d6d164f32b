"""Give FairFace faces the attributes that CelebA has, so that directions can be found for a model of FairFace.

A classifier learns CelebA's labels on CelebA faces that are cropped like the FairFace faces. Where it is certain, its
answer becomes the label; elsewhere the label stays unknown. `male` and `young` come from FairFace's own labels.

Run: python tools/label_faces.py celeba64.zip fairface128.zip --out labeled.zip
Print: for each attribute the shares of yes, no and unknown, and the balanced accuracy on held-out CelebA faces; for
`male`, how often the classifier agrees with FairFace's annotators.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from facesmith.attributes import Classifier, learnable_labels, predict_logits
from facesmith.attributes.train_classifier import ClassifierBudget, evaluate_classifier, held_out_rows, train_network
from facesmith.device import fastest_precision
from facesmith.faces import Faces, open_faces
from facesmith.pictures.images import Pixels, resize

EYES = ((0.342, 0.432), (0.661, 0.431))  # in CelebA's crops of 64 px, as shares of the side
FRAME = 2.45  # side of a FairFace face in eye distances; its center lies half an eye distance below the eyes
TOO_DEPENDENT_ON_PEOPLE = ("attractive", "pale_skin", "big_lips", "big_nose", "pointy_nose", "blurry")  # left out
CERTAIN = 1.0  # smallest absolute logit of a label
YOUNG, OLD = ("20-29", "30-39"), ("50-59", "60-69", "70+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path, help="CelebA faces with labels")
    parser.add_argument("faces", type=Path, help="a zip of FairFace faces with metadata.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200_000, help="that the classifier is trained on")
    options = parser.parse_args()
    console = Console()
    teacher = cropped(open_faces(options.teacher, 64, console=console))
    labels = learnable_labels(teacher)
    precision = fastest_precision(torch.device("cpu"))
    budget = ClassifierBudget(max_images=options.images)
    net = train_network(teacher, labels, console, Classifier, precision, budget, teacher.part("train"))
    scores = evaluate_classifier(net, teacher, labels, held_out_rows(teacher))
    faces = open_faces(options.faces, 64, console=console)
    logits = predict_logits(net, np.asarray(faces.pixels)).numpy()
    columns = {}
    for i, name in enumerate(labels.names):
        if name in TOO_DEPENDENT_ON_PEOPLE:
            continue
        columns[name] = np.where(np.abs(logits[:, i]) < CERTAIN, np.nan, logits[:, i] > 0)
        unknown, yes = np.isnan(columns[name]).mean(), (columns[name] == 1).mean()
        print(f"{name:20} yes {yes:6.1%}  no {1 - yes - unknown:6.1%}  unknown {unknown:6.1%}  "
              f"balanced accuracy {scores[name].balanced_accuracy:.3f}")  # fmt: skip
    with zipfile.ZipFile(options.faces) as source, zipfile.ZipFile(options.out, "w") as target:
        table = next(name for name in source.namelist() if name.endswith("metadata.csv"))
        rows = {row["file_name"]: row for row in csv.DictReader(io.TextIOWrapper(source.open(table), "utf-8"))}
        own = [rows[Path(name).name] for name in faces.names]
        male = np.array([row["gender"] == "male" for row in own])
        print(f"male: agrees with FairFace for {((logits[:, labels.names.index('male')] > 0) == male).mean():.1%}")
        columns["male"] = male.astype(float)
        columns["young"] = np.array([young(row["age_group"]) for row in own])
        for entry in source.infolist():
            if entry.filename != table:
                target.writestr(entry, source.read(entry))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["file_name", *columns])
        for i, name in enumerate(faces.names):
            values = ("" if np.isnan(column[i]) else int(column[i]) for column in columns.values())
            writer.writerow([Path(name).name, *values])
        target.writestr(table, text.getvalue())


def cropped(faces: Faces) -> Faces:
    """CelebA faces in the frame of the FairFace faces."""
    (left_x, left_y), (right_x, right_y) = EYES
    eye_distance = right_x - left_x
    center_x, center_y = (left_x + right_x) / 2, (left_y + right_y) / 2 + eye_distance / 2
    side = round(FRAME * eye_distance * faces.resolution)
    left, top = (round(center * faces.resolution - side / 2) for center in (center_x, center_y))
    pixels: Pixels = np.stack([
        resize(np.asarray(face[top : top + side, left : left + side]), faces.resolution) for face in faces.pixels
    ])  # fmt: skip
    return replace(faces, pixels=pixels)


def young(age_group: str) -> float:
    return 1.0 if age_group in YOUNG else 0.0 if age_group in OLD else float("nan")


if __name__ == "__main__":
    main()
