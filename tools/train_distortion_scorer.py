"""Train the network that scores how distorted faces look, and put it into the package.

Half of each batch are real faces, the other half real faces with artificial distortions. Both are framed and degraded
alike, so that the frame, blur and noise say nothing. Prints the accuracy on test faces, which the documentation states.

Run: python tools/train_distortion_scorer.py fairface128.zip
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch.nn.functional import affine_grid, grid_sample
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from facesmith.attributes.classifier import SIZE_PX, Classifier
from facesmith.attributes.degrade import degrade
from facesmith.distortion.distort import distort
from facesmith.distortion.scorer import distortion_scores, weights_file
from facesmith.faces.dataset import open_faces
from facesmith.io.progress import bar
from facesmith.pictures.images import to_float, to_uint8
from facesmith.training.discriminator_scores import auc

HALF_BATCH = 32
LR, WEIGHT_DECAY = 3e-3, 0.02
MIN_FRAME, MAX_FRAME = 0.75, 1.6  # side of the frame, relative to the training crops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    console = Console()
    faces = open_faces(options.data, SIZE_PX, console=console)
    training, test = (torch.from_numpy(np.asarray(faces.pixels[faces.part(part)])) for part in ("train", "test"))

    def some_faces() -> torch.Tensor:
        return to_float(training[torch.randint(0, len(training), (HALF_BATCH,))])

    network = Classifier(1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, options.steps + 1, pct_start=0.15)
    targets = torch.arange(2 * HALF_BATCH) % 2.0
    for _ in bar(range(options.steps), options.steps, "learning distortions, batches", console):
        # Real and distorted faces alternate, because `degrade` blurs each quarter of a batch by one amount.
        pictures = degrade(framed(torch.stack([some_faces(), distort(some_faces())], 1).flatten(0, 1)))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pictures.contiguous(memory_format=torch.channels_last))[:, 0]
        loss = cross_entropy(logits.float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    weights = network.eval().state_dict()
    save_file({name: t.contiguous().half() if t.is_floating_point() else t for name, t in weights.items()},
              weights_file())  # fmt: skip
    distorted = to_uint8(torch.cat([distort(to_float(batch)) for batch in test.split(2 * HALF_BATCH)]))
    scores, distorted_scores = distortion_scores(test.numpy()), distortion_scores(distorted.numpy())
    print(f"test faces: {len(test)}, AUC {auc(distorted_scores, scores):.3f}")
    print(
        f"called distorted: {np.mean(scores > 0):.1%} of real faces, {np.mean(distorted_scores > 0):.1%} of distorted"
    )


def framed(pictures: torch.Tensor) -> torch.Tensor:
    """Closer or wider, as crops of other datasets are; what lies beyond a picture is its mirror image."""
    scale = MIN_FRAME * (MAX_FRAME / MIN_FRAME) ** torch.rand(len(pictures), 1, 1)
    grid = affine_grid(torch.eye(2, 3) * scale, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


if __name__ == "__main__":
    main()
