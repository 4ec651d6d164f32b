"""The command line and the Python code that reproduce a picture, for the page's copy buttons."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from facesmith.model import Model
from facesmith.studio.face_text import Face
from facesmith.studio.render import Walk

IMPORTS = ("import facesmith", "from PIL import Image")
IMPORT_READ_LATENT = "from facesmith.studio.face_text import read_latent"


def reproduce_face(model: Model, face: Face, psi: float) -> dict[str, str]:
    """Code for a face: always `python`, and `command` if a command can draw it."""
    truncate_first = bool(face.edits) and psi != 1  # edits come after truncation
    lines = [IMPORT_READ_LATENT] if face.seed is None else []
    if truncate_first:
        lines += ["import torch", "from facesmith.latent import truncate", *_load(model)]
        lines += [f"w = torch.from_numpy({_latent(face)})", f"w = truncate(m.G, w, {psi!r}).numpy()"]
    else:
        lines += [*_load(model), f"w = {_latent(face)}"]
    lines += [*_add_edits(face), *_save_picture(1.0 if truncate_first else psi)]
    code = {"python": "\n".join(lines)}
    if face.seed is not None:
        code["command"] = _edit_command(model, face, psi) if face.edits else _sample_command(model, face, psi)
    return code


def reproduce_sum(model: Model, terms: Sequence[tuple[float, Face]], psi: float, *, plain: bool) -> dict[str, str]:
    """Code for a sum of faces: always `python`, and `command` if a command can draw it."""
    lines = ["import torch", "from facesmith.latent.arithmetic import combine"]
    lines += [IMPORT_READ_LATENT] if any(face.seed is None for _, face in terms) else []
    lines += [*_load(model), "terms = []"]
    for _, face in terms:
        lines += [f"w = {_latent(face)}", *_add_edits(face), "terms.append(torch.from_numpy(w))"]
    weights = [coefficient for coefficient, _ in terms]
    lines += [f"w = combine(m.G, torch.cat(terms), {weights}, plain={plain}).numpy()", *_save_picture(psi)]
    code = {"python": "\n".join(lines)}
    if all(face.seed is not None and not face.edits for _, face in terms):
        text = " ".join(_term(coefficient, face, is_first=i == 0) for i, (coefficient, face) in enumerate(terms))
        option = " --plain" if plain else ""
        code["command"] = f"facesmith mix {shlex.quote(text)} --model {_path(model)}{_psi(psi)}{option} --out mix.png"
    return code


def reproduce_walk(model: Model, walk: Walk) -> dict[str, str]:
    """Code for a walk: `command` if a command can make it."""
    if any(face.seed is None or face.edits for face in walk.faces):
        return {}
    seeds, option = ",".join(str(face.seed) for face in walk.faces), "" if walk.closed else " --open"
    seconds = walk.frame_count() / walk.fps
    return {
        "command": f"facesmith walk --model {_path(model)} --seeds {seeds}{option} --seconds {seconds!r} "
        f"--fps {walk.fps}{_psi(walk.psi)} --out walk.mp4"
    }


def _sample_command(model: Model, face: Face, psi: float) -> str:
    return f"facesmith sample --model {_path(model)} --seeds {face.seed}{_psi(psi)} --out face.png"


def _edit_command(model: Model, face: Face, psi: float) -> str:
    edits = " ".join(f"--edit {shlex.quote(f'{name}={strength!r}')}" for name, strength in face.edits)
    return f"facesmith edit --model {_path(model)} --seeds {face.seed} {edits} --steps 1{_psi(psi)} --out edited.png"


def _load(model: Model) -> list[str]:
    return [*IMPORTS, f"m = facesmith.load({str(model.path)!r})"]


def _latent(face: Face) -> str:
    if face.seed is not None:
        return f"m.latents([{face.seed}])"
    return f'read_latent("{face.base}", m.hash, m.G.w_dim, m.G.num_ws)[None]'


def _add_edits(face: Face) -> list[str]:
    return [f"w = w + {strength!r} * m.directions[{direction!r}]" for direction, strength in face.edits]


def _save_picture(psi: float) -> list[str]:
    return [f"pixels = m.synthesize(w, psi={psi!r})[0]", 'Image.fromarray(pixels.squeeze()).save("face.png")']


def _path(model: Model) -> str:
    return shlex.quote(str(model.path))


def _psi(psi: float) -> str:
    return "" if psi == 1 else f" --psi {psi!r}"


def _term(coefficient: float, face: Face, *, is_first: bool) -> str:
    sign = "-" if coefficient < 0 else "" if is_first else "+"
    factor = "" if abs(coefficient) == 1 else f"{abs(coefficient)!r}*"
    return f"{sign} {factor}{face.seed}".strip()
