"""The command line and the Python lines that make the same picture as an address of the studio."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from facesmith.model import Model
from facesmith.studio.query import Face
from facesmith.studio.render import Walk

IMPORTS = ("import facesmith", "from PIL import Image")
READ = "from facesmith.studio.query import read_latent"


def for_face(model: Model, face: Face, psi: float) -> dict[str, str]:
    """What draws a face again: `python` always, `command` where there is one."""
    first = bool(face.edits) and psi != 1  # an edit comes after psi
    lines = [READ] if face.seed is None else []
    lines += ["import torch", "from facesmith.latent import truncate"] if first else []
    lines += _head(model)
    pulled = [f"w = torch.from_numpy({_latent(face)})", f"w = truncate(m.G, w, {psi!r}).numpy()"]
    lines += pulled if first else [f"w = {_latent(face)}"]
    told = {"python": "\n".join([*lines, *_edited("w", face), *_drawn(1.0 if first else psi)])}
    if face.seed is not None:
        told["command"] = _edit(model, face, psi) if face.edits else _sample(model, face, psi)
    return told


def for_sum(model: Model, terms: Sequence[tuple[float, Face]], psi: float, *, plain: bool) -> dict[str, str]:
    """What draws a sum of faces again."""
    reads = [READ] if any(face.seed is None for _, face in terms) else []
    lines = ["import torch", "from facesmith.latent.arithmetic import combine", *reads, *_head(model), "terms = []"]
    for _, face in terms:
        lines += [f"w = {_latent(face)}", *_edited("w", face), "terms.append(torch.from_numpy(w))"]
    weights = [coefficient for coefficient, _ in terms]
    lines += [f"w = combine(m.G, torch.cat(terms), {weights}, plain={plain}).numpy()", *_drawn(psi)]
    told = {"python": "\n".join(lines)}
    if all(face.seed is not None and not face.edits for _, face in terms):
        text = " ".join(_term(coefficient, face, first=i == 0) for i, (coefficient, face) in enumerate(terms))
        plainly = " --plain" if plain else ""
        told["command"] = f"facesmith mix {shlex.quote(text)} --model {_path(model)}{_psi(psi)}{plainly} --out mix.png"
    return told


def for_walk(model: Model, walk: Walk) -> dict[str, str]:
    """What makes a film again, where there is a command for it."""
    if any(face.seed is None or face.edits for face in walk.faces):
        return {}
    seeds, way = ",".join(str(face.seed) for face in walk.faces), "" if walk.closed else " --open"
    seconds = walk.frames() / walk.fps
    return {
        "command": f"facesmith walk --model {_path(model)} --seeds {seeds}{way} --seconds {seconds!r} "
        f"--fps {walk.fps}{_psi(walk.psi)} --out walk.mp4"
    }


def _sample(model: Model, face: Face, psi: float) -> str:
    return f"facesmith sample --model {_path(model)} --seeds {face.seed}{_psi(psi)} --out face.png"


def _edit(model: Model, face: Face, psi: float) -> str:
    edits = " ".join(f"--edit {shlex.quote(f'{name}={strength!r}')}" for name, strength in face.edits)
    return f"facesmith edit --model {_path(model)} --seeds {face.seed} {edits} --steps 1{_psi(psi)} --out edited.png"


def _head(model: Model) -> list[str]:
    return [*IMPORTS, f"m = facesmith.load({str(model.path)!r})"]


def _latent(face: Face) -> str:
    if face.seed is not None:
        return f"m.latents([{face.seed}])"
    return f'read_latent("{face.base}", m.hash, m.G.w_dim, m.G.num_ws)[None]'


def _edited(name: str, face: Face) -> list[str]:
    return [f"{name} = {name} + {strength!r} * m.directions[{direction!r}]" for direction, strength in face.edits]


def _drawn(psi: float) -> list[str]:
    return [f"pixels = m.synthesize(w, psi={psi!r})[0]", 'Image.fromarray(pixels.squeeze()).save("face.png")']


def _path(model: Model) -> str:
    return shlex.quote(str(model.path))


def _psi(psi: float) -> str:
    return "" if psi == 1 else f" --psi {psi!r}"


def _term(coefficient: float, face: Face, *, first: bool) -> str:
    sign = "-" if coefficient < 0 else "" if first else "+"
    size = "" if abs(coefficient) == 1 else f"{abs(coefficient)!r}*"
    return f"{sign} {size}{face.seed}".strip()
