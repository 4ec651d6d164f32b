"""Draw a procedural face: pixels and landmarks.

A face is painted in layers, back to front, from signed distances, in a frame that spans -1..1 across and down. Eyes,
brows, mouth, beard, glasses and hairline use the face's own coordinates, which turn with yaw like the surface of a
cylinder, so that the far side shrinks as in a photo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facesmith.pictures.images import Pixels
from facesmith.procedural.face import HairColor, HairStyle, ProceduralFace

Plane: TypeAlias = NDArray[np.floating[Any]]
Color: TypeAlias = tuple[float, float, float]

# From light to dark.
_SKIN: tuple[Color, ...] = ((250, 218, 197), (238, 192, 160), (214, 159, 121), (166, 112, 78), (104, 66, 48))
_HAIR: dict[HairColor, Color] = {
    "black": (38, 33, 38),
    "brown": (98, 62, 40),
    "red": (168, 76, 38),
    "blond": (226, 182, 104),
    "gray": (184, 184, 190),
}
_IRIS: tuple[Color, ...] = ((74, 44, 28), (104, 66, 34), (62, 98, 62), (60, 104, 156))
_SHIRTS: tuple[Color, ...] = ((40, 50, 84), (66, 118, 138), (232, 224, 208), (164, 70, 66), (84, 86, 98))
_BACKDROPS: tuple[Color, ...] = ((164, 194, 224), (160, 208, 198), (236, 206, 176), (206, 182, 222), (186, 190, 200))
_FRAMES: tuple[Color, ...] = ((30, 28, 34), (92, 50, 30), (128, 28, 44), (34, 52, 104))

_TURN = 0.25  # radians at yaw 1
_DEPTH = 0.85  # radius of the cylinder that approximates the face
_NOSE_DEPTH = 1.12  # distance of the tip of the nose from the cylinder's axis
_EYE_U, _EYE_V = 0.25, -0.03
_NOSE_V = 0.235
_MOUTH_V = 0.475
_ZOOM = 1.1  # head and hair then fill the frame
_PIVOT_Y = 0.35  # the head rolls around the top of the neck


def draw(face: ProceduralFace, size_px: int = 64) -> Pixels:
    """The portrait, uint8 `[size_px, size_px, 3]`. Edges are one pixel wide at every size."""
    canvas = _Canvas(face, size_px)
    head = _head(canvas)
    _backdrop(canvas)
    _back_hair(canvas)
    _body(canvas)
    _skin(canvas, head)
    _beard(canvas, head)
    _nose(canvas)
    _eyes(canvas)
    _mouth(canvas)
    _temples(canvas, head)
    _front_hair(canvas, head)
    _glasses(canvas)
    return canvas.pixels()


def landmarks(face: ProceduralFace, size_px: int) -> NDArray[np.float64]:
    """Left eye, right eye, nose, left and right corner of the mouth: `[5, 2]`, x and y in pixels.

    The center of a pixel is at its index plus 0.5.
    """
    half, _, corner_v = _mouth_form(face)
    points = [(_turned(-_EYE_U, face), _EYE_V), (_turned(_EYE_U, face), _EYE_V), (_nose_x(face), _NOSE_V)]
    points += [(_turned(-half, face), corner_v), (_turned(half, face), corner_v)]
    roll = math.radians(face.roll_degrees)
    x, down = np.array(points).T - [[0.0], [_PIVOT_Y]]
    y = x * math.sin(roll) + down * math.cos(roll) + _PIVOT_Y
    rolled = np.stack([x * math.cos(roll) - down * math.sin(roll), y], axis=1)
    in_pixels: NDArray[np.float64] = (rolled * _ZOOM + 1) * size_px / 2
    return in_pixels


class _Canvas:
    """A picture being painted, with the coordinates and the light of its pixels.

    Attributes:
        rgb: `[3, S, S]`, 0..255.
        screen_x, screen_y: coordinates `[S, S]` of the body, which does not roll.
        x, y: coordinates of the upright head.
        u: horizontal coordinate on the face before it turned.
        facing: how much light a round head receives, 0..1.
        soft: width of an edge.
    """

    def __init__(self, face: ProceduralFace, size_px: int) -> None:
        self.face = face
        self.soft = 2.6 / (size_px * _ZOOM)
        self.screen_x, self.screen_y = _frame(size_px)
        roll = math.radians(face.roll_degrees)
        down = self.screen_y - _PIVOT_Y
        self.x: Plane = self.screen_x * math.cos(roll) + down * math.sin(roll)
        self.y: Plane = down * math.cos(roll) - self.screen_x * math.sin(roll) + _PIVOT_Y
        self.u: Plane = _DEPTH * np.sin(np.arcsin((self.x / _DEPTH).clip(-1, 1)) - _TURN * face.yaw)
        self.width = 0.53 + 0.07 * face.face_width  # half the skull's
        self.skin = _along(_SKIN, face.skin)
        lighter = 1 + 0.22 * face.hair_shade
        self.hair = _times(_HAIR[face.hair_color], lighter, lighter, lighter)
        self.facing = self._facing()
        self.rgb: Plane = np.zeros((3, size_px, size_px), np.float32)

    def _facing(self) -> Plane:
        right, down = self.x / 0.78, (self.y - 0.02) / 0.98
        front = np.sqrt((1 - right * right - down * down).clip(0.0))
        lit: Plane = (0.55 * self.face.light * right - 0.4 * down + 0.78 * front).clip(0, 1)
        return lit

    def paint(self, color: Color | Plane, cover: Plane | float) -> None:
        """Paint a color (or a picture `[3, S, S]`) over the canvas with opacity `cover`, 0..1."""
        self.rgb += ((color if isinstance(color, np.ndarray) else _flat(color)) - self.rgb) * cover

    def shadow(self, light: float) -> Color:
        """The color of skin in shadow, with this share of the light, 0..1; shadows on skin are warm."""
        return _times(self.skin, light, light**1.45, light**1.55)

    def inside(self, distance: Plane, soft: float | None = None) -> Plane:
        """1 where the distance is negative, 0 where it is positive, with a soft edge between."""
        cover: Plane = (0.5 - distance / (soft or self.soft)).clip(0, 1)
        return cover

    def lit(self, color: Color, shadow: Color = (0.56, 0.44, 0.42)) -> Plane:
        """The color as lit on the head, `[3, S, S]`: times `shadow` in the dark, slightly brighter in full light."""
        return _flat(color) * (_flat(shadow) + (1.08 - _flat(shadow)) * self.facing)

    def pixels(self) -> Pixels:
        return np.ascontiguousarray(np.rint(self.rgb.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0))


class _Cut(NamedTuple):
    """A hair style: a shell around the skull and down the sides, with a window for the face."""

    sides: float  # thickness of the shell at the sides
    top: float  # and at the top
    length: float  # where it ends, in y
    window_u: float  # half the window's width
    window_top: float  # v of its highest point
    round: float  # shape of the window: 1 a pointed arch, 2 round, larger: square
    slope: float  # of the fringe, towards the parting
    curls: float  # height of the curls


_CUTS: dict[HairStyle, _Cut] = {
    "short": _Cut(0.02, 0.06, 0.06, 0.53, -0.44, 3.0, 0.05, 0.0),
    "side part": _Cut(0.05, 0.12, 0.10, 0.53, -0.38, 2.4, 0.31, 0.0),
    "curly": _Cut(0.19, 0.17, 0.34, 0.52, -0.40, 2.4, 0.0, 0.05),
    "bob": _Cut(0.09, 0.10, 0.60, 0.46, -0.26, 5.0, 0.08, 0.0),
    "long": _Cut(0.09, 0.09, 1.50, 0.46, -0.53, 1.5, 0.15, 0.0),
}


def _backdrop(c: _Canvas) -> None:
    face = c.face
    bright = 0.70 + 0.36 * face.backdrop_light
    near = _along(_BACKDROPS, face.backdrop)
    c.paint(_times(near, bright, bright, bright), 1.0)
    far = (0.4 + 0.4 * c.screen_y - 0.25 * face.light * c.screen_x).clip(0, 1)
    c.paint(_times(near, 0.60 * bright, 0.61 * bright, 0.67 * bright), far)


def _body(c: _Canvas) -> None:
    x, y = c.screen_x, c.screen_y
    shade = 0.7 + 0.3 * (1 - x * x).clip(0, 1) + 0.12 * c.face.light * x
    c.paint(_flat(_along(_SHIRTS, c.face.shirt)) * shade, c.inside(_ellipse(x, y, 0.0, 1.17, 0.95, 0.44)))
    neck = np.maximum(np.abs(x) - 0.27 - 0.25 * (y - 0.66).clip(0) ** 2, 0.3 - y)
    collar = np.maximum(neck, _ellipse(x, y, 0.0, 0.72, 0.34, 0.13))
    c.paint(c.shadow(0.72), c.inside(np.minimum(np.maximum(neck, y - 0.9), collar)))
    c.paint(c.shadow(0.48), 0.6 * c.inside(neck) * _blob(x, y, 0.0, 0.74, 0.4, 0.12))


def _head(c: _Canvas) -> Plane:
    """Signed distance to the outline of skull and jaw."""
    face = c.face
    skull = _ellipse(c.x, c.y, -0.03 * face.yaw, -0.14, c.width, 0.60)
    jaw = _ellipse(c.x, c.y, 0.07 * face.yaw, 0.25, c.width * (0.74 + 0.16 * face.jaw), 0.53)
    blend = (0.5 + (jaw - skull) / 0.24).clip(0, 1)
    joined: Plane = jaw + (skull - jaw) * blend - 0.12 * blend * (1 - blend)
    return joined


def _skin(c: _Canvas, head: Plane) -> None:
    face, inside = c.face, c.inside(head)
    if face.hair in ("bald", "short", "side part"):  # other hair covers the ears
        for side in (-1, 1):
            x = side * (c.width + 0.015 - 0.05 * max(0.0, side * face.yaw))
            c.paint(c.lit(c.shadow(0.93)), c.inside(_ellipse(c.x, c.y, x, 0.04, 0.085, 0.15)))
            c.paint(c.shadow(0.63), 0.5 * _blob(c.x, c.y, x, 0.04, 0.04, 0.08))
    c.paint(c.lit(c.skin), inside)
    blush = _mix(_times(c.skin, 1.0, 0.62, 0.58), (226, 92, 84), 0.3)
    c.paint(blush, inside * (0.22 + 0.15 * face.smile) * _blob(np.abs(c.u), c.y, 0.34, 0.24, 0.17, 0.12))
    c.paint((255, 246, 232), inside * 0.22 * _blob(c.u, c.y, 0.16 * face.light, -0.42, 0.3, 0.16))
    c.paint(c.shadow(0.58), inside * 0.4 * _blob(np.abs(c.u), c.y, _EYE_U - 0.03, -0.07, 0.16, 0.09))


def _nose(c: _Canvas) -> None:
    face, gloss = c.face, (255, 244, 230)
    x = c.x - _nose_x(face) * ((c.y + 0.15) / (_NOSE_V + 0.15)).clip(0, 1.1)  # horizontal distance from the ridge
    wide = 0.075 + 0.035 * face.nose
    away = 1.0 if face.light < 0 else -1.0
    ridge = _blob(x, c.y, 0.0, 0.1, 9.0, 0.14)
    c.paint(c.shadow(0.54), 0.38 * abs(face.light) * ridge * _blob(x, c.y, away * wide, 0.1, 0.05, 9.0))
    c.paint(gloss, 0.26 * ridge * _blob(x, c.y, 0.03 * face.light, 0.1, 0.035, 9.0))
    c.paint(c.shadow(0.54), 0.55 * _blob(x, c.y, 0.0, _NOSE_V + 0.075, wide * 1.25, 0.035))
    c.paint(c.shadow(0.36), 0.75 * _blob(np.abs(x), c.y, wide * 0.62, _NOSE_V + 0.055, 0.032, 0.022))
    c.paint(gloss, 0.35 * _blob(x, c.y, 0.02 * face.light, _NOSE_V - 0.01, 0.05, 0.045))


def _eyes(c: _Canvas) -> None:
    face = c.face
    tall, wide = 0.072 + 0.02 * face.eye_size, 0.125 + 0.015 * face.eye_size
    side, v = np.abs(c.u) - _EYE_U, c.y - _EYE_V  # both eyes: position relative to the middle of the eye
    lid = tall * (1 - (side / wide) ** 2)
    white = c.inside(np.maximum(-lid - v, v - 0.8 * lid))
    c.paint((250, 246, 242), white)
    c.paint((120, 100, 110), white * 0.35 * _blob(side, v, 0.0, -tall, 1.0, 0.05))
    middle = np.hypot(np.abs(c.u - 0.025 * face.yaw) - _EYE_U, v) - 0.012 * face.eye_size
    iris = _along(_IRIS, face.iris)
    c.paint(_times(iris, 0.45, 0.45, 0.5), white * c.inside(middle - 0.074))
    c.paint(iris, white * c.inside(middle - 0.056) * (0.75 + 4 * v).clip(0, 1))
    c.paint((14, 10, 14), white * c.inside(middle - 0.030))
    beyond = np.abs(side) - wide
    c.paint(c.shadow(0.18), 0.95 * c.inside(np.maximum(np.abs(v + lid) - 0.02, beyond - 0.01)))
    c.paint(c.shadow(0.48), 0.5 * c.inside(np.maximum(np.abs(v - 0.8 * lid) - 0.008, beyond)))
    for eye in (-_EYE_U, _EYE_U):
        glint = np.hypot(c.u - eye - 0.026 * face.light, v + 0.028) - 0.02
        c.paint((255, 255, 255), 0.95 * white * c.inside(glint))
    thick = (0.018 + 0.022 * face.brow) * (1 - 0.5 * ((side + 0.15) / 0.3).clip(0, 1))
    arch = -0.165 - 0.025 * face.brow_raise + 1.6 * (side - 0.02) ** 2 - 0.1 * face.brow_raise * side
    brow = np.maximum(np.abs(v - arch) - thick, np.abs(side) - 0.15)
    c.paint((120, 116, 118) if face.hair_color == "gray" else _times(c.hair, 0.72, 0.7, 0.7), 0.9 * c.inside(brow))


def _mouth_form(face: ProceduralFace) -> tuple[float, float, float]:
    """Half the width of the mouth, how far its middle is below its corners, and the corners' v."""
    bend = 0.012 + 0.10 * face.smile
    return 0.16 + 0.075 * face.smile, bend, _MOUTH_V - 0.45 * bend


def _mouth(c: _Canvas) -> None:
    face = c.face
    half, bend, corner_v = _mouth_form(face)
    bow = 1 - (c.u / half) ** 2  # 1 in the middle, 0 at the corners, negative beyond
    v = c.y - corner_v - bend * bow  # 0 along the line between the lips
    gap = 0.13 * max(0.0, face.smile - 0.4)
    shown = min(1.0, gap * 40)
    full = 0.8 + 0.4 * face.lips
    lip = _mix(_times(c.skin, 0.80, 0.58, 0.56), (190, 50, 62), 0.15 + 0.6 * face.lips)
    c.paint(c.shadow(0.58), 0.3 * _blob(c.u, v, 0.0, gap + 0.115, 0.12, 0.03))
    c.paint(_times(lip, 0.88, 0.84, 0.84), c.inside(np.maximum(-0.042 * full * bow - v, v - 0.01)))
    c.paint(lip, c.inside(np.maximum(-v, v - (gap + 0.058 * full) * bow)))
    c.paint((255, 225, 220), 0.25 * _blob(c.u, v, 0.0, gap + 0.032, 0.07, 0.014))
    c.paint((84, 24, 30), shown * c.inside(np.maximum(-v, v - gap * bow)))
    c.paint((252, 248, 242), shown * c.inside(np.maximum(-v, v - 0.72 * gap * bow)))  # teeth
    line = np.maximum(np.abs(v) - 0.010, -0.12 - bow)
    c.paint(_times(lip, 0.42, 0.34, 0.36), (0.85 - 0.6 * shown) * c.inside(line))
    fold = np.abs(np.abs(c.u) - half - 0.055 - 0.5 * (c.y - corner_v + 0.06) ** 2)
    c.paint(
        c.shadow(0.53),
        0.6 * face.smile * c.inside(fold - 0.004, soft=0.045) * _blob(c.u, c.y, 0.0, corner_v - 0.03, 9.0, 0.07),
    )


def _beard(c: _Canvas, head: Plane) -> None:
    strength = c.face.beard
    if strength:
        top = 0.375 + 0.9 * c.u**2 - 26 * c.u**6  # from under the nose, across the cheek, up to the ear
        cover = c.inside(top - c.y, soft=0.07) * c.inside(head - 0.045 * strength)
        c.paint(c.lit(_times(c.hair, 0.85, 0.85, 0.85), (0.5, 0.46, 0.48)), cover * min(0.95, 0.15 + strength))


def _shell(c: _Canvas, cut: _Cut) -> Plane:
    """Signed distance to the outline of the hair."""
    width = c.width + cut.sides
    x = c.x + 0.03 * c.face.yaw  # the back of the head moves the other way
    dome = _ellipse(x, c.y, 0.0, -0.16, width, 0.60 + cut.top)
    if cut.curls:
        dome = dome - cut.curls * np.abs(np.sin(7 * np.arctan2(x, -0.16 - c.y) + 0.6))
    end = c.y - cut.length
    if cut.length < 0.5:
        return _rounded_max(dome, end, 0.25)
    sides = _rounded_max(np.abs(x) - width - 0.07 * (c.y + 0.16).clip(0), end, 0.25)
    shell: Plane = np.minimum(dome, np.maximum(sides, -0.16 - c.y))
    return shell


def _hair_picture(c: _Canvas) -> Plane:
    """Hair `[3, S, S]`: strands that fall from the parting, and a highlight."""
    face = c.face
    across, down = c.x - 0.25 * face.part, c.y + 1.0
    if face.hair == "curly":
        strands = np.sin(17 * c.x + 2 * np.sin(9 * c.y)) * np.sin(15 * c.y)
    else:
        strands = np.sin(17 * np.arctan2(across, down + 0.3))
    radius = np.hypot(across, 0.9 * (c.y - 0.1))
    shine = np.exp(-(((radius - 0.66) / 0.09) ** 2)) * c.facing
    tone = c.lit(c.hair, (0.42, 0.38, 0.42))
    picture: Plane = tone * (1 + 0.07 * strands) + 36 * shine
    return picture


def _back_hair(c: _Canvas) -> None:
    cut = _CUTS.get(c.face.hair)
    if cut is not None:
        c.paint(_hair_picture(c) * 0.62, c.inside(_shell(c, cut)))


def _front_hair(c: _Canvas, head: Plane) -> None:
    face = c.face
    cut = _CUTS.get(face.hair)
    if cut is None:
        return
    falls = 1.0 if face.part < 0 else -1.0
    across = 0.5 * (c.u + c.x)  # the hairline is further back than the face, so it moves less
    u = across - 0.12 * face.part
    up = (0.2 - c.y + cut.slope * falls * u).clip(0) / (0.2 - cut.window_top)
    window = ((np.abs(across) / cut.window_u) ** cut.round + up**cut.round) ** (1 / cut.round) - 1
    hair = np.maximum(_shell(c, cut), np.maximum(-0.45 * window, c.y - cut.length))
    c.paint(c.shadow(0.48), 0.35 * c.inside(head) * c.inside(hair - 0.03, soft=0.14))
    c.paint(_hair_picture(c), c.inside(hair))


def _temples(c: _Canvas, head: Plane) -> None:
    """The arms of the glasses, painted before the hair, which may hide them."""
    if c.face.glasses:
        arms = np.maximum(np.abs(c.y - _EYE_V + 0.035) - 0.02, 0.17 + _EYE_U - np.abs(c.u))
        c.paint(_along(_FRAMES, c.face.frame), 0.9 * c.inside(np.maximum(arms, head)))


def _glasses(c: _Canvas) -> None:
    face = c.face
    if not face.glasses:
        return
    corner = 0.04 + 0.09 * face.frame_round
    side, v = np.abs(c.u) - _EYE_U, c.y - _EYE_V - 0.015
    out_x, out_y = np.abs(side) - 0.18 + corner, np.abs(v) - 0.135 + corner
    lens = np.hypot(out_x.clip(0), out_y.clip(0)) + np.minimum(np.maximum(out_x, out_y), 0) - corner
    c.paint((214, 232, 244), c.inside(lens) * (0.10 + 0.16 * np.exp(-(((0.7 * side + v - 0.06) / 0.03) ** 2))))
    bridge = np.maximum(np.abs(v + 0.03 + 0.8 * c.u * c.u) - 0.018, np.abs(c.u) - _EYE_U + 0.17)
    c.paint(_along(_FRAMES, face.frame), 0.95 * c.inside(np.minimum(np.abs(lens) - 0.022, bridge)))


@cache
def _frame(size_px: int) -> tuple[Plane, Plane]:
    """Coordinates `[S, S]` of the pixel centers, -1..1 across and down."""
    line = (((np.arange(size_px) + 0.5) * (2 / size_px) - 1) / _ZOOM).astype(np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def _flat(color: Color) -> Plane:
    """A color as `[3, 1, 1]`, to broadcast over a picture."""
    return np.array(color, np.float32).reshape(3, 1, 1)


def _ellipse(x: Plane, y: Plane, x0: float, y0: float, rx: float, ry: float) -> Plane:
    """Distance to an ellipse, negative inside, exact to first order near its outline."""
    a, b = (x - x0) / rx, (y - y0) / ry
    a2, b2 = a * a, b * b
    k = np.sqrt(a2 + b2)
    distance: Plane = k * (k - 1) / (np.sqrt(a2 / rx**2 + b2 / ry**2) + 1e-6)
    return distance


def _rounded_max(a: Plane, b: Plane, radius: float) -> Plane:
    """Signed distance to the intersection of two shapes, with a rounded corner."""
    corner = np.hypot((a + radius).clip(0), (b + radius).clip(0)) - radius
    joined: Plane = np.where((a > -radius) & (b > -radius), corner, np.maximum(a, b))
    return joined


def _blob(x: Plane, y: Plane, x0: float, y0: float, rx: float, ry: float) -> Plane:
    """A Gaussian spot, 1 in the middle."""
    spot: Plane = np.exp(-(((x - x0) / rx) ** 2) - ((y - y0) / ry) ** 2)
    return spot


def _turned(u: float, face: ProceduralFace) -> float:
    """The x coordinate of a point of the face after yaw: the inverse of a canvas's `u`."""
    return _DEPTH * math.sin(math.asin(u / _DEPTH) + _TURN * face.yaw)


def _nose_x(face: ProceduralFace) -> float:
    return _NOSE_DEPTH * math.sin(_TURN * face.yaw)


def _along(colors: Sequence[Color], at: float) -> Color:
    place = at * (len(colors) - 1)
    i = min(int(place), len(colors) - 2)
    return _mix(colors[i], colors[i + 1], place - i)


def _mix(a: Color, b: Color, t: float) -> Color:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def _times(color: Color, r: float, g: float, b: float) -> Color:
    return (color[0] * r, color[1] * g, color[2] * b)
