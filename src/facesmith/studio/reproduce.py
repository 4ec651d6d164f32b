"""The command and the Python code that reproduce a picture, for the copy buttons of the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from facesmith.model import Model
from facesmith.studio.face_text import Face
from facesmith.studio.render import Walk

IMPORTS = ("import facesmith", "from PIL import Image")
IMPORT_READ_LATENT = "from facesmith.studio.face_text import read_latent"


def reproduce_face(model: Model, face: Face, psi: float) -> dict[str, str]:
    """Return code that draws a face: always `python`; also `command`, if a command can draw it."""
    truncate_first = bool(face.edits) and psi != 1  # edits come after truncation
    lines = [IMPORT_READ_LATENT] if face.seed is None else []
    if truncate_first:
        lines += ["import torch", "from facesmith.latent import truncate", *_load_code(model)]
        lines += [f"w = torch.from_numpy({_latent_code(face)})", f"w = truncate(model.G, w, {psi!r}).numpy()"]
    else:
        lines += [*_load_code(model), f"w = {_latent_code(face)}"]
    lines += [*_edits_code(face), *_save_code(1.0 if truncate_first else psi)]
    code = {"python": "\n".join(lines)}
    if face.seed is not None:
        code["command"] = _edit_command(model, face, psi) if face.edits else _sample_command(model, face, psi)
    return code


def reproduce_sum(model: Model, terms: Sequence[tuple[float, Face]], psi: float, *, plain: bool) -> dict[str, str]:
    """Return code that draws a sum of faces: always `python`; also `command`, if a command can draw it."""
    lines = ["import torch", "from facesmith.latent.arithmetic import combine"]
    lines += [IMPORT_READ_LATENT] if any(face.seed is None for _, face in terms) else []
    lines += [*_load_code(model), "terms = []"]
    for _, face in terms:
        lines += [f"w = {_latent_code(face)}", *_edits_code(face), "terms.append(torch.from_numpy(w))"]
    weights = [coefficient for coefficient, _ in terms]
    lines += [f"w = combine(model.G, torch.cat(terms), {weights}, plain={plain}).numpy()", *_save_code(psi)]
    code = {"python": "\n".join(lines)}
    if all(face.seed is not None and not face.edits for _, face in terms):
        text = " ".join(_term_text(coefficient, face, is_first=i == 0) for i, (coefficient, face) in enumerate(terms))
        options = f"--model {_quoted_path(model)}{_psi_option(psi)}{' --plain' if plain else ''}"
        code["command"] = f"facesmith mix {shlex.quote(text)} {options} --out mix.png"
    return code


def reproduce_walk(model: Model, walk: Walk) -> dict[str, str]:
    """Return the `command` that makes a walk, or an empty dict if no command can."""
    if any(face.seed is None or face.edits for face in walk.faces):
        return {}
    seeds = ",".join(str(face.seed) for face in walk.faces)
    seconds = walk.frame_count() / walk.fps
    options = f"--model {_quoted_path(model)} --seeds {seeds}{'' if walk.closed else ' --open'} "
    options += f"--seconds {seconds!r} --fps {walk.fps}{_psi_option(walk.psi)}"
    return {"command": f"facesmith walk {options} --out walk.mp4"}


def _sample_command(model: Model, face: Face, psi: float) -> str:
    return f"facesmith sample --model {_quoted_path(model)} --seeds {face.seed}{_psi_option(psi)} --out face.png"


def _edit_command(model: Model, face: Face, psi: float) -> str:
    edits = " ".join(f"--edit {shlex.quote(f'{name}={strength!r}')}" for name, strength in face.edits)
    options = f"--model {_quoted_path(model)} --seeds {face.seed} {edits} --steps 1{_psi_option(psi)}"
    return f"facesmith edit {options} --out edited.png"


def _load_code(model: Model) -> list[str]:
    return [*IMPORTS, f"model = facesmith.load({str(model.path)!r})"]


def _latent_code(face: Face) -> str:
    if face.seed is not None:
        return f"model.latents([{face.seed}])"
    return f'read_latent("{face.base}", model.hash, model.G.w_dim, model.G.num_ws)[None]'


def _edits_code(face: Face) -> list[str]:
    return [f"w = w + {strength!r} * model.directions[{direction!r}]" for direction, strength in face.edits]


def _save_code(psi: float) -> list[str]:
    return [f"pixels = model.synthesize(w, psi={psi!r})[0]", 'Image.fromarray(pixels.squeeze()).save("face.png")']


def _quoted_path(model: Model) -> str:
    return shlex.quote(str(model.path))


def _psi_option(psi: float) -> str:
    return "" if psi == 1 else f" --psi {psi!r}"


def _term_text(coefficient: float, face: Face, *, is_first: bool) -> str:
    sign = "-" if coefficient < 0 else "" if is_first else "+"
    factor = "" if abs(coefficient) == 1 else f"{abs(coefficient)!r}*"
    return f"{sign} {factor}{face.seed}".strip()
