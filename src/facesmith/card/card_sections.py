"""The parts of a card, in Markdown. What isn't known is said to be unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from facesmith.card.facts import Facts

UNKNOWN = "unknown"


def intro(facts: Facts) -> Iterator[str]:
    """What it is."""
    recipe, channels = facts.model.recipe, facts.model.recipe.channels
    source = type(recipe).source
    kind = "grey" if channels == 1 else "colour"
    yield f"# {facts.name}"
    yield (
        f"A generator of synthetic faces, {recipe.resolution}x{recipe.resolution} pixels in {kind}, trained from "
        f"{'another model' if facts.model.header.get('began_from') else 'nothing'} by Facesmith's recipe "
        f"`{recipe.name}`{'' if source == 'Facesmith' else f' (after {source})'}. "
        "The persons that it draws do not exist."
    )


def usage(facts: Facts) -> Iterator[str]:
    """How to use it."""
    yield "## How to use it"
    yield (
        "```bash\npip install facesmith\n"
        "facesmith sample --model model.safetensors --seeds 0-63 --out faces.png\n"
        "# or straight from the Hub: --model hf://USER/NAME, with pip install 'facesmith[hub]'\n```"
    )
    yield (
        '```python\nimport facesmith\n\nmodel = facesmith.load("model.safetensors")\n'
        f"faces = model.sample(range(16))  # uint8 [16, {facts.model.recipe.resolution}, "
        f"{facts.model.recipe.resolution}, {facts.model.recipe.channels}]\n```"
    )
    yield (
        "The file is safetensors: opening it runs no code. Meant for research, teaching and art with synthetic faces; "
        "not for passing a synthetic face off as a person, nor for deciding anything about people."
    )


def licences(facts: Facts) -> Iterator[str]:
    """Whose it is."""
    yield "## Licence"
    yield f"Of the model: {facts.options.license or UNKNOWN}. Of the data it was trained on: {_data_licence(facts)}."
    yield "A model can be no freer than the faces that it learnt from; Facesmith itself is under Apache-2.0."


def _data_licence(facts: Facts) -> str:
    return facts.options.data_license or UNKNOWN


def data(facts: Facts) -> Iterator[str]:
    """What it was trained on."""
    header = facts.model.header
    yield "## Data"
    rows = [("faces", facts.options.data or UNKNOWN), ("licence", _data_licence(facts))]
    rows += [("fingerprint", _code(header.get("fingerprint")))]
    split = header.get("split")
    counts = split.get("counts") if isinstance(split, dict) else None
    if isinstance(counts, dict):
        rows += [("split", ", ".join(f"{name} {count}" for name, count in counts.items()))]
    rows += [("shown mirrored", _yes(header.get("mirror")))]
    alignment = header.get("alignment")
    rows += [("alignment", "none recorded" if not alignment else _code(alignment))]
    yield _table(("", ""), rows)
    yield (
        "Only the training part was learnt from; the parts are made by a stable hash of the person or of the "
        "near-duplicate group."
    )


def training(facts: Facts) -> Iterator[str]:
    """How it was trained."""
    header, plan = facts.model.header, facts.plan
    yield "## Training"
    seen = header.get("seen")
    rows = [("recipe", f"`{facts.model.recipe.name}`")]
    rows += [("real faces shown", f"{seen:,}" if type(seen) is int else UNKNOWN)]
    rows += [("time", UNKNOWN if facts.seconds is None else _duration(facts.seconds))]
    rows += [("device", UNKNOWN if plan is None else f"{plan.device}, {plan.threads} threads, {plan.precision}")]
    rows += [
        ("seed", str(header.get("seed", UNKNOWN))),
        ("began from", _code(header.get("finetuned_from")) if header.get("finetuned_from") else "nothing"),
    ]
    rows += [("Facesmith", str(header.get("version", UNKNOWN)))]
    weights = sum(tensor.numel() for tensor in facts.model.nets["G"].parameters())
    rows += [("weights of the generator", f"{weights:,}")]
    yield _table(("", ""), rows)
    values = ", ".join(f"{name}={value}" for name, value in facts.model.recipe.hyperparameters().items())
    yield f"Values: `{values}`."


def evaluation(facts: Facts) -> Iterator[str]:
    """How good it is."""
    yield "## Evaluation"
    if facts.judged is None or facts.report is None:
        yield "Not evaluated: there is no report of `facesmith evaluate` for this file. Its quality is unknown."
        return
    protocol, judged = facts.report["protocol"], facts.judged
    against = facts.report["data"]["judged_against"]
    yield (
        f"{protocol['samples']} samples (seeds {protocol['seeds']}, psi {protocol['psi']:g}) against "
        f"{against['count']} faces of the {against['part']} part; features `{protocol['features']}`. Beside each "
        "number stands what real faces of the training part reach in its place. Distances of other features, counts "
        "or data can't be compared with these."
    )
    scores = {**judged["metrics"], "share of samples in which a face is found": judged["face_rate"]}
    rows = [(name, f"{s['value']:.4g}", f"{s['low']:.4g} to {s['high']:.4g}", _real(s)) for name, s in scores.items()]
    yield _table(("metric", "value", "95 % interval", "real faces"), rows)
    yield "\n".join(f"- {question} {answer}" for question, answer in judged["verdicts"].items())
    if judged.get("notice"):
        yield f"Notice: {judged['notice']}"
    if facts.report.get("warnings"):
        yield "\n".join(f"- Warning: {warning}" for warning in facts.report["warnings"])


def memorisation(facts: Facts) -> Iterator[str]:
    """Whether it copies."""
    yield "## Memorisation"
    if facts.judged is None:
        yield "Not audited: unknown whether it draws faces of its training data."
        return
    copies = facts.judged["copies"]
    yield facts.judged["verdicts"]["New faces?"]
    real = f"; for real faces that it never saw {copies['real_ratio']:.3f}" if "real_ratio" in copies else ""
    yield (
        "Distance of a sample to its nearest training face, over that to the nearest face of the test part: median "
        f"{copies['ratio']['value']:.3f}{real}. Below {copies['threshold']:.3f} a sample counts as a copy: "
        f"{copies['samples']} do, and {copies['allowed']} may by chance."
        if "threshold" in copies
        else "There were too few unseen faces to compare with: unknown whether it draws faces of its training data."
    )


def biases(facts: Facts) -> Iterator[str]:
    """Whom it draws, and whom not."""
    yield "## Biases and limits"
    yield (
        "It draws people as its data show them, with the data's shares of age, gender, skin colour, glasses and poses, "
        "and it may exaggerate the frequent ones. It should not be taken for a picture of any population."
    )
    yield (
        facts.options.biases
        or "Shares of such attributes among its faces: unknown; they were not measured for this card."
    )
    if facts.judged:
        metrics = facts.judged["metrics"]
        told = [f"{name} {s['value']:.3f} (real faces {_real(s)})" for name, s in metrics.items() if _is_variety(name)]
        if told:
            yield f"How much of the real variety it covers: {', '.join(told)}."


def _is_variety(name: str) -> bool:
    return name.startswith(("recall", "coverage"))


def provenance(facts: Facts) -> Iterator[str]:
    """How to tell its pictures and its file."""
    yield "## Provenance"
    yield f"`{facts.model.path.name}` has the sha256 `{facts.model.hash}`."
    yield (
        "Every picture that Facesmith draws with it says in its metadata, in PNG and JPEG, that it is synthetic "
        "(IPTC's digital source type `trainedAlgorithmicMedia`) and which model, seeds and psi it was drawn with; "
        "`facesmith sample --like PICTURE` draws it again. With the extra `c2pa` pictures can carry signed content "
        "credentials."
    )


PARTS = (intro, usage, licences, data, training, evaluation, memorisation, biases, provenance)


def _table(names: tuple[str, ...], rows: list[Any]) -> str:
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _code(value: Any) -> str:
    return UNKNOWN if value is None else f"`{value}`"


def _yes(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, UNKNOWN)


def _real(score: dict[str, Any]) -> str:
    return UNKNOWN if score.get("real") is None else f"{score['real']:.4g}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.1f} minutes"
