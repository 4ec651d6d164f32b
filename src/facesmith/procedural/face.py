"""What a drawn face is: its attributes, a pure function of its seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeVar, get_args

from numpy.random import PCG64, Generator

Name = TypeVar("Name", bound=str)
HairStyle = Literal["bald", "short", "side part", "curly", "bob", "long"]
HairColour = Literal["black", "brown", "red", "blond", "grey"]

HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
HAIR_COLORS: tuple[HairColour, ...] = get_args(HairColour)

# How often each is seen, in parts.
_LONG_STYLES: dict[HairStyle, int] = {"bob": 4, "long": 6, "curly": 2}
_SHORT_STYLES: dict[HairStyle, int] = {"short": 5, "side part": 5, "curly": 2, "bald": 2}
_COLOURS_ON_DARK: dict[HairColour, int] = {"black": 7, "brown": 3, "grey": 1}
_COLOURS_ON_LIGHT: dict[HairColour, int] = {"black": 2, "brown": 4, "red": 2, "blond": 4, "grey": 1}


@dataclass(frozen=True, kw_only=True)
class ProceduralFace:
    """All that the drawing needs. "Left" and "right" are those of the picture."""

    smile: float  # 0 neutral, 1 broad; teeth show from about a half
    glasses: bool
    hair: HairStyle
    hair_colour: HairColour
    hair_shade: float  # -1 darker, 1 lighter within its colour
    skin: float  # 0 light, 1 dark
    beard: float  # 0 none, 0.4 stubble, 1 full
    yaw: float  # -1 looks left, 1 looks right
    roll_degrees: float  # -12..12, positive leans to the right
    light: float  # -1 from the left, 1 from the right
    part: float  # -1..1, where the hair parts and to which side it falls
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
    backdrop: float  # 0..1, blue to mint, peach, lilac, grey
    backdrop_light: float  # 0 dark, 1 bright
    frame_round: float  # 0 square glasses, 1 round


def random_face(seed: int) -> ProceduralFace:
    """The attributes of one face, the same on every machine.

    Only `Generator.random` is used, whose stream NumPy keeps. A new attribute is to be drawn last, so that the
    others keep their values.
    """
    numbers = iter(Generator(PCG64(seed)).random(40).tolist())

    def even(low: float = 0.0, high: float = 1.0) -> float:
        return float(low + (high - low) * next(numbers))

    def bell(low: float, high: float) -> float:
        return low + (high - low) * (even() + even() + even()) / 3

    skin = even()
    long_haired = even() < 0.5
    style = _pick(even(), _LONG_STYLES if long_haired else _SHORT_STYLES)
    dark = skin > 0.55
    colour = _pick(even(), _COLOURS_ON_DARK if dark else _COLOURS_ON_LIGHT)
    bearded = even() < 0.4 and not long_haired
    beard = even(0.35, 1.0)
    return ProceduralFace(
        skin=skin,
        hair=style,
        hair_colour=colour,
        beard=beard if bearded else 0.0,
        smile=even(),
        glasses=even() < 0.25,
        hair_shade=even(-1, 1),
        yaw=bell(-1, 1),
        roll_degrees=bell(-12, 12),
        light=even(-1, 1),
        part=even(-1, 1),
        face_width=even(),
        jaw=even(0.0, 0.6) if long_haired else even(0.3, 1.0),
        eye_size=even(),
        iris=even(0.0, 0.35) if dark else even(),
        brow=even(0.0, 0.5) if long_haired else even(0.4, 1.0),
        brow_raise=even(-1, 1),
        nose=even(0.0, 0.7) if long_haired else even(0.3, 1.0),
        lips=even(0.3, 1.0) if long_haired else even(0.0, 0.4),
        frame=even(),
        shirt=even(),
        backdrop=even(),
        backdrop_light=even(),
        frame_round=even(),
    )


def face_labels(face: ProceduralFace) -> dict[str, int]:
    """What a labeller would say of the picture: 1 for yes, 0 for no."""
    hairy = face.hair != "bald"
    says = {
        "smiling": face.smile > 0.5,
        "eyeglasses": face.glasses,
        "bald": not hairy,
        "long_hair": face.hair in ("bob", "long"),
        "curly_hair": face.hair == "curly",
        **{f"{colour}_hair": hairy and face.hair_colour == colour for colour in HAIR_COLORS},
        "beard": face.beard > 0.0,
        "dark_skin": face.skin > 0.55,
        "looking_left": face.yaw < -0.25,
        "looking_right": face.yaw > 0.25,
    }
    return {name: int(yes) for name, yes in says.items()}


def _pick(at: float, weights: dict[Name, int]) -> Name:
    """The key on which `at`, 0..1, falls when the keys share the line by weight."""
    ends = accumulate(weights.values())
    return next(key for key, end in zip(weights, ends, strict=True) if at * sum(weights.values()) < end)
