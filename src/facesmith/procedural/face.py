"""The attributes of a procedural face, a pure function of its seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeVar, get_args

from numpy.random import PCG64, Generator

Name = TypeVar("Name", bound=str)
HairStyle = Literal["bald", "short", "side part", "curly", "bob", "long"]
HairColor = Literal["black", "brown", "red", "blond", "gray"]

HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
HAIR_COLORS: tuple[HairColor, ...] = get_args(HairColor)

# Relative frequencies.
_LONG_STYLES: dict[HairStyle, int] = {"bob": 4, "long": 6, "curly": 2}
_SHORT_STYLES: dict[HairStyle, int] = {"short": 5, "side part": 5, "curly": 2, "bald": 2}
_COLORS_ON_DARK: dict[HairColor, int] = {"black": 7, "brown": 3, "gray": 1}
_COLORS_ON_LIGHT: dict[HairColor, int] = {"black": 2, "brown": 4, "red": 2, "blond": 4, "gray": 1}


@dataclass(frozen=True, kw_only=True)
class ProceduralFace:
    """Everything that decides the picture. Left and right are those of the picture."""

    smile: float  # 0 neutral, 1 broad; teeth show from about a half
    glasses: bool
    hair: HairStyle
    hair_color: HairColor
    hair_shade: float  # -1 darker, 1 lighter within its color
    skin: float  # 0 light, 1 dark
    beard: float  # 0 none, 0.4 stubble, 1 full
    yaw: float  # -1 looks left, 1 looks right
    roll_degrees: float  # -12..12, positive leans to the right
    light: float  # -1 from the left, 1 from the right
    part: float  # -1..1, position of the hair parting; the hair falls to the other side
    face_width: float  # 0 slim, 1 wide
    jaw: float  # 0 pointed, 1 square
    eye_size: float  # 0..1
    iris: float  # 0 brown, then hazel, green, 1 blue
    brow: float  # 0 fine, 1 bushy
    brow_raise: float  # -1..1
    nose: float  # 0 small, 1 large
    lips: float  # 0 pale and thin, 1 red and full
    frame: float  # 0..1, black to brown, wine, navy
    shirt: float  # 0..1, navy to teal, cream, brick, slate
    backdrop: float  # 0..1, blue to mint, peach, lilac, gray
    backdrop_light: float  # 0 dark, 1 bright
    frame_round: float  # 0 square glasses, 1 round


def random_face(seed: int) -> ProceduralFace:
    """The face of a seed, the same on every machine.

    Only `Generator.random` is used, because NumPy guarantees its stream. Add a new attribute at the end, so that the
    others keep their values.
    """
    numbers = iter(Generator(PCG64(seed)).random(40).tolist())

    def uniform(low: float = 0.0, high: float = 1.0) -> float:
        return float(low + (high - low) * next(numbers))

    def bell_shaped(low: float, high: float) -> float:
        return low + (high - low) * (uniform() + uniform() + uniform()) / 3

    skin = uniform()
    long_haired = uniform() < 0.5
    style = _pick(uniform(), _LONG_STYLES if long_haired else _SHORT_STYLES)
    dark = skin > 0.55
    color = _pick(uniform(), _COLORS_ON_DARK if dark else _COLORS_ON_LIGHT)
    bearded = uniform() < 0.4 and not long_haired
    beard = uniform(0.35, 1.0)
    return ProceduralFace(
        skin=skin,
        hair=style,
        hair_color=color,
        beard=beard if bearded else 0.0,
        smile=uniform(),
        glasses=uniform() < 0.25,
        hair_shade=uniform(-1, 1),
        yaw=bell_shaped(-1, 1),
        roll_degrees=bell_shaped(-12, 12),
        light=uniform(-1, 1),
        part=uniform(-1, 1),
        face_width=uniform(),
        jaw=uniform(0.0, 0.6) if long_haired else uniform(0.3, 1.0),
        eye_size=uniform(),
        iris=uniform(0.0, 0.35) if dark else uniform(),
        brow=uniform(0.0, 0.5) if long_haired else uniform(0.4, 1.0),
        brow_raise=uniform(-1, 1),
        nose=uniform(0.0, 0.7) if long_haired else uniform(0.3, 1.0),
        lips=uniform(0.3, 1.0) if long_haired else uniform(0.0, 0.4),
        frame=uniform(),
        shirt=uniform(),
        backdrop=uniform(),
        backdrop_light=uniform(),
        frame_round=uniform(),
    )


def face_labels(face: ProceduralFace) -> dict[str, int]:
    """The labels that an annotator would give the picture: 1 for yes, 0 for no."""
    has_hair = face.hair != "bald"
    labels = {
        "smiling": face.smile > 0.5,
        "eyeglasses": face.glasses,
        "bald": not has_hair,
        "long_hair": face.hair in ("bob", "long"),
        "curly_hair": face.hair == "curly",
        **{f"{color}_hair": has_hair and face.hair_color == color for color in HAIR_COLORS},
        "beard": face.beard > 0.0,
        "dark_skin": face.skin > 0.55,
        "looking_left": face.yaw < -0.25,
        "looking_right": face.yaw > 0.25,
    }
    return {name: int(yes) for name, yes in labels.items()}


def _pick(at: float, weights: dict[Name, int]) -> Name:
    """The key at position `at`, 0..1, on a line that the keys divide by their weights."""
    ends = accumulate(weights.values())
    return next(key for key, end in zip(weights, ends, strict=True) if at * sum(weights.values()) < end)
