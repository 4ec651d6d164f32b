"""The command and the Python code that reproduce a picture, for the copy buttons of the page."""

from __future__ import annotations

from collections.abc import Sequence

from facesmith.io.commands import quoted
from facesmith.latent.arithmetic import parse_layers
from facesmith.model import Model
from facesmith.studio.face_text import Face
from facesmith.studio.render import Walk
from facesmith.studio.unlabeled import unlabeled_methods

IMPORTS = ("import facesmith", "from PIL import Image")
IMPORT_MOVE = "from facesmith.latent.from_seeds import move_from_average"
IMPORT_READ_LATENT = "from facesmith.studio.face_text import read_latent"


def reproduce_face(model: Model, face: Face, psi: float) -> dict[str, str]:
    """Return code that draws a face: always `python`; also `command`, if a command can draw it."""
    # Edits come after truncation, and `synthesize` accepts psi from 0 to 1 only.
    truncate_first = psi != 1 and (bool(face.edits) or not 0 <= psi <= 1)
    lines = [IMPORT_READ_LATENT] if face.seed is None else []
    lines += [*_load_code(model, [face])]
    if truncate_first:
        lines = ["import torch", IMPORT_MOVE, *lines]
        lines += [f"w = torch.from_numpy({_latent_code(face)})", f"w = move_from_average(model.G, w, {psi!r}).numpy()"]
    else:
        lines += [f"w = {_latent_code(face)}"]
    lines += [*_edits_code(face), *_save_code(1.0 if truncate_first else psi)]
    code = {"python": "\n".join(lines)}
    if face.seed is not None and 0 <= psi <= 1 and not unlabeled_methods(model, [face]):
        code["command"] = _edit_command(model, face, psi) if face.edits else _sample_command(model, face, psi)
    return code


def reproduce_sum(
    model: Model, terms: Sequence[tuple[float, Face]], psi: float, *, plain: bool, layers: str = ""
) -> dict[str, str]:
    """Return code that draws a sum of faces: always `python`; also `command`, if a command can draw it."""
    is_usual = 0 <= psi <= 1
    lines = ["import torch", f"from facesmith.latent.arithmetic import {'mix_layers' if layers else 'combine'}"]
    lines += [] if is_usual else [IMPORT_MOVE]
    lines += [IMPORT_READ_LATENT] if any(face.seed is None for _, face in terms) else []
    lines += [*_load_code(model, [face for _, face in terms]), "terms = []"]
    for _, face in terms:
        lines += [f"w = {_latent_code(face)}", *_edits_code(face), "terms.append(torch.from_numpy(w))"]
    weights = [coefficient for coefficient, _ in terms]
    if layers:
        numbers = parse_layers(layers, model.G.num_ws)
        lines += [f"w = mix_layers(model.G, torch.cat(terms), {weights}, {numbers})"]
    else:
        lines += [f"w = combine(model.G, torch.cat(terms), {weights}, plain={plain})"]
    lines += [] if is_usual else [f"w = move_from_average(model.G, w, {psi!r})"]
    lines += ["w = w.numpy()", *_save_code(psi if is_usual else 1.0)]
    code = {"python": "\n".join(lines)}
    if is_usual and all(face.seed is not None and not face.edits for _, face in terms):
        text = " ".join(_term_text(coefficient, face, is_first=i == 0) for i, (coefficient, face) in enumerate(terms))
        text = f" {text}" if text.startswith("-") else text  # otherwise it would be read as options
        options = f"--model {quoted(model.path)}{_psi_option(psi)}{' --plain' if plain else ''}"
        options += f" --layers {layers}" if layers else ""
        code["command"] = f"facesmith mix {quoted(text)} {options} --out mix.png"
    return code


def reproduce_walk(model: Model, walk: Walk) -> dict[str, str]:
    """Return the `command` that makes a walk, or an empty dict if no command can."""
    if any(face.seed is None or face.edits for face in walk.faces) or not 0 <= walk.psi <= 1:
        return {}
    seeds = ",".join(str(face.seed) for face in walk.faces)
    seconds = walk.frame_count() / walk.fps
    options = f"--model {quoted(model.path)} --seeds {seeds}{'' if walk.closed else ' --open'} "
    options += f"--seconds {seconds!r} --fps {walk.fps}{_psi_option(walk.psi)}"
    return {"command": f"facesmith walk {options} --out walk.mp4"}


def _sample_command(model: Model, face: Face, psi: float) -> str:
    return f"facesmith sample --model {quoted(model.path)} --seeds {face.seed}{_psi_option(psi)} --out face.png"


def _edit_command(model: Model, face: Face, psi: float) -> str:
    edits = " ".join(f"--edit {quoted(f'{name}={strength!r}')}" for name, strength in face.edits)
    options = f"--model {quoted(model.path)} --seeds {face.seed} {edits} --steps 1{_psi_option(psi)}"
    return f"facesmith edit {options} --out edited.png"


def _load_code(model: Model, faces: Sequence[Face]) -> list[str]:
    """Return the lines that open the model, and the directions that the faces need."""
    lines = [*IMPORTS, f"model = facesmith.load({str(model.path)!r})"]
    if methods := unlabeled_methods(model, faces):
        lines.insert(0, "from facesmith.studio.unlabeled import unlabeled_directions")
        found = ", ".join(f"**unlabeled_directions(model, {method!r})" for method in methods)
        lines += [f"directions = {{{found}, **model.directions}}"]
    elif any(face.edits for face in faces):
        lines += ["directions = model.directions"]
    return lines


def _latent_code(face: Face) -> str:
    if face.seed is not None:
        return f"model.latents([{face.seed}])"
    return f'read_latent("{face.base}", model.hash, model.G.w_dim, model.G.num_ws)[None]'


def _edits_code(face: Face) -> list[str]:
    return [f"w = w + {strength!r} * directions[{direction!r}]" for direction, strength in face.edits]


def _save_code(psi: float) -> list[str]:
    return [
        f"pixels = model.synthesize(w, psi={psi!r}, watermark=True)[0]",
        'Image.fromarray(pixels.squeeze()).save("face.png")',
    ]


def _psi_option(psi: float) -> str:
    return "" if psi == 1 else f" --psi {psi!r}"


def _term_text(coefficient: float, face: Face, *, is_first: bool) -> str:
    sign = "-" if coefficient < 0 else "" if is_first else "+"
    factor = "" if abs(coefficient) == 1 else f"{abs(coefficient)!r}*"
    return f"{sign} {factor}{face.seed}".strip()
