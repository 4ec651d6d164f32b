"""How to read each figure, for people who have never trained a GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facesmith.training.discriminator_scores import Histogram

FILM = (
    "Every frame is one save, and every place shows the same seed throughout. First come colours and blurs, then "
    "faces, then details. A seed that keeps its face while it gets sharper is a good sign; faces that go on "
    "changing into others say that the networks still chase each other; if faces get worse, the best moment is "
    "behind."
)
SCORES_OVER_TIME = (
    "The same as above at several moments, from the first on. Two heaps that move apart: the critic is getting "
    "ahead. Two that move together: the generator is catching up. The moments don't compare in height, nor in "
    "width where scores have no bounds: each has its own scale."
)
RECONSTRUCTIONS = (
    "A third network, the encoder, writes a face down as a short list of numbers, and the generator draws it again "
    "from these alone. The faces were kept from training, so none could be learnt by heart. What is lost was not "
    "worth a number: usually fine hair, backgrounds and glasses. PSNR measures how near the copies are; higher is "
    "nearer, and 6 decibels more mean half the error."
)
SIGNS = (
    "The faces of the first film, reduced to 8x8 in colour, are measured at every save. Variety is how far each lies "
    "from the nearest other, beside the same among real faces: if it falls, faces repeat one another. Distance is how "
    "far all of them lie from real faces; it falls fast at first, and should stay low. If the critic scores training "
    "faces above faces that it never saw in clearly more than half of all pairs, it knows them by heart. These signs "
    "are coarse: they tell trouble, not quality."
)
ORIGINALS_LEFT_OUT = "The real faces are left out of this page; these are the reconstructions alone."
KNOBS = (
    "A learning rate is how large a step a network takes each time it learns. What changes in the course of the "
    "training is drawn; what stays as it is stands in the table, if there is any."
)
WATCHED = (
    "How far samples were from faces that were not trained on, every now and then: the lower, the better, and 0 for "
    "samples like real faces. The model of the lowest point is kept as best.safetensors. Small ups and downs are "
    "chance; a lasting rise says that the training has passed its best."
)
SPEED = (
    "Dips in speed say that the machine was busy with other things. Memory should level off soon; if it climbed to "
    "the end, a longer training would need more of it."
)
DATA = (
    "A generator can only draw what it was shown. What is rare here will be rare or missing among its faces, and "
    "what all of these have in common, such as pose, light or background, its faces will have, too. Only the part "
    "called train was learnt from. A group is one person, or near copies of one picture, and lies in one part as a "
    "whole."
)
AGAIN = (
    "On the same kind of machine with the same versions, the first command gives the same model to the last byte. "
    "The others draw its faces, make a film that walks between them, and make the film of how it learnt."
)


def in_short(has_discriminator: bool) -> str:
    """What happens in a training, in two sentences."""
    game = (
        "Two networks play against each other: the generator draws faces, the critic tells drawn faces from real ones, "
        "and each learns from the other. "
    )
    copying = (
        "Two networks work together: one writes a face down as a short list of numbers, the other draws it again from "
        "them; once that works, random numbers give new faces. "
    )
    clock = "A kimg is a thousand real faces shown; how long the training lasts is counted in these."
    return (game if has_discriminator else copying) + clock


def sheet(has_discriminator: bool) -> str:
    """How to read a sheet of generated faces."""
    told = (
        "Each picture is drawn from its own list of random numbers, its seed; nobody in it exists. Look for whole "
        "faces, for sharp details, and above all for variety"
    )
    collapse = (
        ": many near copies of one face say that the generator has found a picture that fools the critic and draws "
        "little else (mode collapse)."
    )
    return told + (collapse if has_discriminator else ". Blurred faces are usual without a critic.")


def losses(has_discriminator: bool) -> str:
    """How to read the loss terms."""
    if not has_discriminator:
        return (
            "The networks learn by making these numbers small, so they should fall, fast at first and slowly later. "
            "Where they no longer do, more training changes little."
        )
    return (
        "Each network learns by making a number small, its loss. In a game both can't win, so these lines need not "
        "fall, and they don't say when to stop: look at the faces for that. What to look for is a sudden change that "
        "stays, such as a critic's loss that drops to 0 while the generator's climbs: then the critic has won, and the "
        "generator no longer learns from it."
    )


def balance(lines: Sequence[Mapping[str, Any]]) -> str:
    """How to read the balance of a log, by what it holds."""
    names = {name for line in lines for name in line}
    told = "1 means always, 0 never; a critic that tosses a coin is right half of the time. "
    if "D/accuracy_fake" in names or "scores/accuracy_fake" in names:
        told += (
            "A critic that is right nearly always leaves the generator little to learn from. One that is near a "
            "half in both sees no difference any more: the aim, if the faces look good, and a critic that learns "
            "nothing, if they don't. "
        )
    else:
        told += (
            "This critic's scores have no threshold, so pairs are compared: how often does a real face score above "
            "a fake? Near 1 the critic tells all of them apart, near a half none. "
        )
    if "D/plays" in names:
        told += "Who is too far ahead waits, so that the other can catch up: how many turns each played is drawn, too. "
    if any(name.startswith("scores/") for name in names):
        told += (
            "Lines are means over all steps between two saves; dots were measured at a save, on fixed faces and fakes. "
        )
    if "G/fooling_rate" in names:
        told += (
            "Where both networks learn from the same batch, the generator is judged just after the critic has "
            "learnt from these very fakes: then “fakes that fool the critic” lies near 0 in a healthy training, "
            "too."
        )
    return told.strip()


def scores(histogram: Histogram) -> str:
    """How to read a histogram, by what its scores mean."""
    if histogram.probability:
        told = "The critic said of real faces and of fakes how sure it is that they are real, from 0 to 1. "
    elif histogram.real_threshold is not None:
        told = (
            "The discriminator gives every image a score. "
            f"A score above {histogram.real_threshold:g} means that it takes the image for real. "
        )
    else:
        told = "The critic gave real faces and fakes a score, of which only the order means anything. "
    return told + (
        "The heaps show how often it gave which. Far apart: it knows which is which. Where they overlap, it is "
        "fooled; two heaps of one shape in one place are what a perfect generator would reach."
    )
