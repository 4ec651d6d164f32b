"""DCGAN at 64x64, as in many tutorials, with their bugs fixed.

Paper:  Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks", arXiv:1511.06434.
Source: "DCGAN - Generate Faces" (dcgan-generate-faces-64), PyTorch on CelebA, 50 epochs.
Needs:  64x64 faces, or another power of two with --set resolution=N.
Run:    facesmith train dcgan64 --data faces --out runs/first
Cost:   141 images/s on two idle CPU cores; 59 minutes of one core for the result.
Result: fd5k_lite0 45.9 (real faces 3.1), face rate 98.3% (98.3%), after 229 kimg of CelebA, 2026-11-26.

What it does: the architecture that made GAN training stable. The generator maps 100 normal numbers to a face by
transposed convolutions with BatchNorm and ReLU. The discriminator uses strided convolutions with BatchNorm and leaky
ReLU. Both minimize cross-entropies with Adam (learning rate 2e-4, beta1 0.5) on batches of 64.

Faults of the tutorial, and what this recipe does instead:
- Weights are drawn with standard deviation 0.2, where text and paper say 0.02. BatchNorm's scale is centered on 0,
  which switches its layer off at the start. Here: N(0, 0.02), and N(1, 0.02) for BatchNorm; `init=text` has the
  tutorial's weights. It notes that N(1, 0.2) for BatchNorm gave worse results; `init=text-batchnorm-1` has those.
- There is a full batch of latents even if the last batch of real images is smaller. Here every batch is full.
- Sigmoid and BCELoss lose precision for confident outputs, as the tutorial itself warns. Here: cross-entropy on logits.
- The tutorial describes a linear layer reshaped to 4x4; its code has a transposed convolution of a 1x1 image. Both
  multiply z by one matrix. This recipe follows the code, so parameter counts agree.
- The recap recommends label smoothing, but the code has none. Here: `label_smoothing`, 0 by default; the tutorial says
  0.1.
- The data loader is called `celeb_loader` in one place and `pokemon_loader` in another.
- TensorBoard images are stretched to their own range. Here they are unchanged. `--images-every 50` is its interval.
- Losses are printed every 50 batches. With --as-in-text they are here, too.
- Samples are drawn in training mode, so they depend on each other. Here they come from averaged weights in evaluation
  mode, with BatchNorm statistics that were estimated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Recipe, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.gan.text import NOT_AVAILABLE, SAME, Difference, Text
from facesmith.nets import dcgan

PRINTED_BATCHES = 50  # from one printed line of losses to the next
TEXT_STD = 0.2  # of its initial weights; its prose says 0.02
BATCH_NORM_MEAN = {"text": 0.0, "text-batchnorm-1": 1.0}  # of initial weights, by the value of `init`


def _init_as_in_text(network: nn.Module, batch_norm_mean: float) -> None:
    """Initialize in place as the tutorial does: convolutions N(0, 0.2), BatchNorm N(0, 0.2) or around another mean."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, TEXT_STD)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, batch_norm_mean, TEXT_STD)


@recipe("dcgan64")
@dataclass(frozen=True, kw_only=True)
class Dcgan64(Recipe):
    source: ClassVar[str] = "DCGAN - Generate Faces; Radford et al. 2016"
    text: ClassVar[Text | None] = Text(
        title="DCGAN - Generate Faces",
        hyperparameters={"init": "text"},
        epochs=50,
        images_every=PRINTED_BATCHES,
        differences=(
            Difference("all weights N(0, .2)", "N(0, .02); those of BatchNorm N(1, .02)", "--set init=text"),
            Difference("sigmoid and BCELoss", "cross-entropy on logits", SAME),
            Difference("smaller pictures are enlarged", "they are skipped, with a notice", NOT_AVAILABLE),
            Difference("images in TensorBoard are stretched in brightness", "unchanged", NOT_AVAILABLE),
            Difference(
                "samples with BatchNorm statistics of the sampled batch", "with fixed statistics", NOT_AVAILABLE
            ),
            Difference("fewer real faces in an epoch's last batch", "every batch is full", NOT_AVAILABLE),
        ),
    )

    z_dim: int = option(100, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(64, "channels at half the resolution; 8 times as many at 4x4", at_least=1, at_most=512)
    init: Literal["paper", "text", "text-batchnorm-1"] = option(
        "paper",
        "initial weights: paper; text for N(0, .2) everywhere, as in the tutorial's code; or text-batchnorm-1 for N(1, "
        ".2) in BatchNorm, which the tutorial found worse",
    )
    label_smoothing: float = option(0.0, "the target of real images is 1 minus this", at_least=0, at_most=0.5)
    lr: float = option(2e-4, "learning rate of both networks", at_least=0, at_most=1)
    beta1: float = option(0.5, "Adam's beta1, the momentum", at_least=0, at_most=0.9999)
    beta2: float = option(0.999, "Adam's beta2", at_least=0, at_most=0.99999)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two(self)

    def networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {
            "G": dcgan.Generator(self.z_dim, self.width, self.resolution, self.channels),
            "D": dcgan.Discriminator(self.width, self.resolution, self.channels),
        }
        if self.init != "paper":
            for network in networks.values():
                _init_as_in_text(network, BATCH_NORM_MEAN[self.init])
        return networks

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(self.beta1, self.beta2), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        return NonSaturating(self.label_smoothing)

    def console_lines(
        self, step: int, recent: Sequence[Mapping[str, Tensor]], face_count: int, epochs: float
    ) -> Iterator[str]:
        epoch, in_epoch = divmod(step * self.batch_size, face_count)
        if in_epoch // self.batch_size % PRINTED_BATCHES == 0:
            d_loss, g_loss = (float(recent[-1][name]) for name in ("D/loss", "G/loss"))
            yield f"Epoch [{epoch}/{epochs:g}] | d_loss: {d_loss:.4f} | g_loss: {g_loss:.4f}"

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})
