"""How to read each figure of a run's page, for readers who have never trained a GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facesmith.training.discriminator_scores import Histogram

FILM = (
    "Every frame is a checkpoint, and each place always shows the same seed. Colors and blurs come first, then faces,"
    " then details. A seed that keeps its face while it gets sharper is a good sign. Faces that keep changing into "
    "other faces show that the two networks have not settled. If the faces get worse, the best model was an earlier "
    "one."
)
SCORES_OVER_TIME = (
    "The same histograms at several checkpoints, from the first to the last. If the two distributions move apart, the "
    "discriminator is getting ahead. If they move together, the generator is catching up. Each histogram has its own "
    "scale, so don't compare heights, or widths of scores without bounds."
)
SHOWN = (
    "Faces that the recipe draws at fixed intervals, from current weights and new latents. In gray-dcgan64 these are "
    "five faces after each epoch, as in its tutorial."
)
RECONSTRUCTIONS = (
    "The encoder turns a face into a latent, a short list of numbers, and the generator draws a face from it. These "
    "faces were not trained on, so they can't have been memorized. Fine hair, backgrounds and glasses are usually "
    "lost. PSNR measures how close a reconstruction is to the original. Higher is better: 6 dB more is half the error."
)
DIAGNOSIS_STATISTICS = (
    "These statistics are measured at every checkpoint, on 8x8 versions of the generated faces shown above. Variety is "
    "the distance from each face to the most similar other one, compared with real faces. If it falls, faces repeat. "
    "Distance is that of all these faces from real faces. It falls fast at first and should stay low. The training AUC "
    "is the share of pairs in which the discriminator scores a training face above a held-out face. Clearly above one "
    "half, it has memorized training faces. They are coarse: they show problems, not quality."
)
ORIGINALS_LEFT_OUT = "This page leaves out the real faces and shows their reconstructions only."
SCHEDULES = (
    "A learning rate is the size of the steps in which a network's weights change. Values that change during training "
    "are drawn. Values that stay the same are in the table, if there are any."
)
VALIDATION = (
    "The kernel distance (KID) between samples and the validation faces, which were not trained on. Lower is better, "
    "and 0 means no difference from real faces. The model at the lowest point is stored as best.safetensors. Small ups "
    "and downs are noise. A lasting rise means that training has passed its best point."
)
SPEED = (
    "Dips in speed mean that the machine was busy with something else. Memory should soon become constant. If it grows "
    "until the end, a longer run would need more of it."
)
EXACTLY = "On the same kind of machine and with the same versions, the first command gives a byte-identical model."
SIMILARLY = (
    "The first command trains a similar model. It may not be identical, because the number of images or threads may "
    "have changed during this run, because several processes trained it, or because it trained on a GPU."
)
OTHER_COMMANDS = (
    "The others use the model of this run. They draw faces, make a film that moves between faces, and make the film of "
    "the training."
)


def summary(has_discriminator: bool) -> str:
    """What happens during training, in a few sentences."""
    gan = (
        "Two networks are trained against each other. The generator draws faces; the discriminator tries to "
        "distinguish them from real faces; each improves by the other's mistakes. "
    )
    autoencoder = (
        "Two networks are trained together. The encoder turns a face into a short list of numbers, and the generator "
        "draws the face again from these numbers. Once that works, random numbers give new faces. "
    )
    unit = "One kimg is a thousand real images shown; the length of training is measured in it."
    return (gan if has_discriminator else autoencoder) + unit


def contact_sheet(has_discriminator: bool) -> str:
    """How to read a contact sheet of generated faces."""
    start = (
        "Each picture is drawn from its own random numbers, its seed. None of these people exists. Look for complete "
        "faces, for sharp details, and above all for variety. "
    )
    mode_collapse = (
        "If many faces look nearly the same, the generator has found a picture that fools the discriminator and draws "
        "little else (mode collapse)."
    )
    return start + (mode_collapse if has_discriminator else "Without a discriminator, faces are usually blurred.")


def losses(has_discriminator: bool) -> str:
    """How to read the loss terms."""
    if not has_discriminator:
        return (
            "Training makes these numbers small. They should fall quickly at first, and slowly later. Once they stop "
            "falling, more training changes little."
        )
    return (
        "Training makes each network's loss small. In a GAN the two networks compete, so these lines need not fall, "
        "and they don't show when to stop: look at the faces for that. Look for a sudden change that lasts. If the "
        "discriminator's loss drops to 0 while the generator's rises, the discriminator has won, and the generator no "
        "longer improves."
    )


def balance(log: Sequence[Mapping[str, Any]]) -> str:
    """How to read the balance of the networks, depending on what the log contains."""
    keys = {key for line in log for key in line}
    if "D/accuracy_fake" in keys or "scores/accuracy_fake" in keys:
        sentences = [
            "1 means always and 0 never; a discriminator that guesses is right half of the time.",
            "If it is nearly always right, the generator has little to learn from.",
            "If it is right about half of the time on both, it sees no difference between real faces and fakes.",
            "That is the aim if the faces look good; otherwise the discriminator is not learning.",
        ]
    else:
        sentences = [
            "The scores of this network, a Wasserstein critic, have no threshold for real, so pairs are compared:",
            "how often does a real face score above a fake?",
            "Near 1, the critic distinguishes all of them; near one half, it distinguishes none.",
        ]
    if "D/plays" in keys:
        sentences.append(
            "The network that is too far ahead skips turns until the other has caught up; the share of turns in which "
            "each one trained is drawn as well."
        )
    if any(key.startswith("scores/") for key in keys):
        sentences.append(
            "Lines are means over all steps between two checkpoints. Dots were measured at a checkpoint, on fixed "
            "faces and fakes."
        )
    if "G/fooling_rate" in keys:
        sentences.append(
            "Where both networks train on the same batch, the generator is measured right after the discriminator was "
            "trained on these fakes. The fooling rate is then near 0 even if training is healthy."
        )
    return " ".join(sentences)


def scores(histogram: Histogram) -> str:
    """How to read a histogram, depending on the kind of its scores."""
    if histogram.probability:
        meaning = "For each picture, the discriminator estimates the probability that it is real, from 0 to 1. "
    elif histogram.real_threshold is not None:
        meaning = (
            f"The discriminator gives each picture a score; above {histogram.real_threshold:g} it counts as real. "
        )
    else:
        meaning = "The critic gives each picture a score, of which only the order means anything. "
    return meaning + (
        "The histograms show how often each score occurred. If they are far apart, it distinguishes real faces from "
        "fakes. Where they overlap, it is fooled. A perfect generator would make the two distributions equal."
    )


def data(hold_out: bool) -> str:
    """How to read the description of the data.

    Args:
        hold_out: whether faces were kept out of training.
    """
    trained = "Only the training split was trained on" if hold_out else "All faces were trained on"
    return (
        "A generator can only draw what is in its data. What is rare here is rare or missing among its faces. What all "
        f"photos share, such as pose, light or background, its faces share too. {trained}. A group is one person, or "
        "near-duplicates of one picture, and is never divided between splits."
    )
