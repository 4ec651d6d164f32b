"""The sections of a card, in Markdown. A fact that no file states appears as "unknown"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facesmith.card.facts import Facts
from facesmith.modelfiles.evaluation_file import Score

UNKNOWN = "unknown"
NEW_FACES = "Are they new?"  # the question of an evaluation that the copy check answers


def intro(facts: Facts) -> Iterator[str]:
    """What the model is."""
    model = facts.model
    recipe, side = model.recipe, model.recipe.resolution
    color = "gray" if recipe.channels == 1 else "color"
    method = "" if type(recipe).source == "Facesmith" else f" (after {type(recipe).source})"
    origin = "fine-tuned from another model" if model.header.get("finetuned_from") else "trained from scratch"
    yield f"# {facts.name}"
    yield (
        f"A generator of synthetic faces, {side}x{side} pixels in {color}, {origin} with Facesmith's recipe "
        f"`{recipe.name}`{method}. The people in its pictures do not exist."
    )


def usage(facts: Facts) -> Iterator[str]:
    """How to draw faces with it."""
    side, channels = facts.model.recipe.resolution, facts.model.recipe.channels
    yield "## How to use it"
    yield (
        "```bash\npip install facesmith\n"
        "facesmith sample --model model.safetensors --seeds 0-63 --out faces.png\n"
        "# or directly from the Hub, with pip install 'facesmith[hub]': --model hf://USER/NAME\n```"
    )
    yield (
        '```python\nimport facesmith\n\nmodel = facesmith.load("model.safetensors")\n'
        f"faces = model.sample(range(16))  # uint8 [16, {side}, {side}, {channels}]\n```"
    )
    yield (
        "The file is in the safetensors format, so opening it runs no code. The model is meant for research, teaching "
        "and art with synthetic faces. Do not present a synthetic face as a real person, and do not use the model to "
        "decide anything about people."
    )


def license(facts: Facts) -> Iterator[str]:
    """The licenses of the model and of its data."""
    options = facts.options
    yield "## License"
    yield f"- Model: {options.license or UNKNOWN}.\n- Training data: {options.data_license or UNKNOWN}."
    yield "A model can be no freer than its training faces. Facesmith itself is under Apache-2.0."


def data(facts: Facts) -> Iterator[str]:
    """What it was trained on."""
    header, options = facts.model.header, facts.options
    rows = [
        ("faces", options.data or UNKNOWN),
        ("license", options.data_license or UNKNOWN),
        ("fingerprint", _code(header.get("fingerprint"))),
    ]
    split = header.get("split")
    counts = split.get("counts") if isinstance(split, dict) else None
    if isinstance(counts, dict):
        rows.append(("split", ", ".join(f"{part} {count}" for part, count in counts.items())))
    rows.append(("mirrored copies", _yes_or_no(header.get("mirror"))))
    rows.append(("alignment", _code(header["alignment"]) if header.get("alignment") else "none recorded"))
    yield "## Data"
    yield _table(("", ""), rows)
    holds_out = not isinstance(counts, dict) or counts.get("test") != 0
    trained_on = "the training split only" if holds_out else "all faces"
    yield (
        f"The model was trained on {trained_on}. Faces are assigned to a split by a stable hash of the person, or of "
        "the group of near-duplicates."
    )


def training(facts: Facts) -> Iterator[str]:
    """How it was trained."""
    header, plan, recipe = facts.model.header, facts.plan, facts.model.recipe
    seen = header.get("seen")
    parameters = sum(tensor.numel() for tensor in facts.model.nets["G"].parameters())
    rows = [
        ("recipe", f"`{recipe.name}`"),
        ("real images shown", f"{seen:,}" if type(seen) is int else UNKNOWN),
        ("time", UNKNOWN if facts.seconds is None else _duration(facts.seconds)),
        ("device", UNKNOWN if plan is None else f"{plan.device}, CPU threads: {plan.threads}, {plan.precision}"),
        ("seed", str(header.get("seed", UNKNOWN))),
        ("fine-tuned from", _code(header["finetuned_from"]) if header.get("finetuned_from") else "no other model"),
        ("Facesmith version", str(header.get("version", UNKNOWN))),
        ("generator parameters", f"{parameters:,}"),
    ]
    yield "## Training"
    yield _table(("", ""), rows)
    yield f"Hyperparameters: `{', '.join(f'{name}={value}' for name, value in recipe.hyperparameters().items())}`."


def evaluation(facts: Facts) -> Iterator[str]:
    """How good its faces are."""
    yield "## Evaluation"
    if facts.result is None or facts.report is None:
        yield "Not evaluated: no report of `facesmith evaluate` for this file was found. Its quality is unknown."
        return
    result, protocol, reference = facts.result, facts.report["protocol"], facts.report["data"]["reference"]
    yield (
        f"{protocol['samples']} samples (seeds {protocol['seeds']}, psi {protocol['psi']:g}) were compared with "
        f"{reference['count']} faces of the {reference['part']} split, on `{protocol['features']}` features. "
        'The column "real faces" is the best possible value: real training faces take the place of the samples. '
        "Only compare these numbers with others of the same features, counts and data."
    )
    scores = {**result["metrics"], "share of samples with a detected face": result["face_rate"]}
    rows = [(name, f"{s['value']:.4g}", _interval(s), _real(s)) for name, s in scores.items()]
    yield _table(("metric", "value", "95 % interval", "real faces"), rows)
    yield "\n".join(f"- {question} {answer}" for question, answer in result["verdicts"].items())
    if result.get("notice"):
        yield f"Notice: {result['notice']}"
    if facts.report.get("warnings"):
        yield "\n".join(f"- Warning: {warning}" for warning in facts.report["warnings"])


def classifier(facts: Facts) -> Iterator[str]:
    """How well its attribute classifier works; nothing without one."""
    if not facts.classifier:
        return
    yield "## Attribute classifier"
    yield (
        "`attributes.safetensors` recognizes attributes, so that `facesmith studio` can describe faces to people who "
        "can't see them. Its accuracy was measured on real faces of the validation and test splits. *Balanced* is the "
        "mean over faces with and without the attribute, so 50 % is chance. *Degraded* faces are blurred and noisy, as "
        "generated ones may be. Generated faces have no labels, so the accuracy on them is unknown."
    )
    yield _table(
        ("attribute", "share of faces", "accuracy", "balanced", "balanced, degraded faces"),
        [
            (
                name,
                *(
                    f"{number:.0%}"
                    for number in (s.share, s.accuracy, s.balanced_accuracy, s.balanced_accuracy_degraded)
                ),
            )
            for name, s in facts.classifier.items()
        ],
    )
    yield "The attributes are the labels of the training data. They say nothing about a person's identity."


def memorization(facts: Facts) -> Iterator[str]:
    """Whether it copies its training faces."""
    yield "## Memorization"
    if facts.result is None:
        yield "Not checked: it is unknown whether the model copies faces of its training data."
        return
    copies = facts.result["copies"]
    yield facts.result["verdicts"].get(NEW_FACES, "The report has no verdict on copies.")
    if not copies.keys() >= COPY_CHECK or copies["ratio"] is None:
        yield "There were too few held-out faces to search for less obvious copies of training faces."
        return
    yield (
        "The copy check divides a sample's distance to the nearest training face by its distance to the nearest "
        f"held-out face. The median ratio is {copies['ratio']['value']:.3f}; for real faces that the model never saw, "
        f"it is {copies['real_ratio']:.3f}. A sample with a ratio below {copies['threshold']:.3f} counts as a copy: "
        f"{copies['samples']} do, and up to {copies['allowed']} can by chance."
    )


def biases(facts: Facts) -> Iterator[str]:
    """Which people it draws, and which not."""
    yield "## Biases and limits"
    yield (
        "The model reproduces the shares of age, gender, skin color, glasses and pose in its training data, and may "
        "exaggerate the frequent ones. Its faces do not represent any population."
    )
    yield facts.options.biases or "The shares of such attributes among its faces were not measured: unknown."
    if facts.result:
        variety = {name: s for name, s in facts.result["metrics"].items() if name.startswith(("recall", "coverage"))}
        if variety:
            scores = ", ".join(f"{name} {s['value']:.3f} (real faces {_real(s)})" for name, s in variety.items())
            yield f"How much of the variety of real faces it covers: {scores}."


def provenance(facts: Facts) -> Iterator[str]:
    """How to recognize its file and its pictures."""
    yield "## Provenance"
    yield f"`{facts.model.path.name}` has the sha256 `{facts.model.hash}`."
    yield (
        "Every PNG and JPEG that Facesmith draws with it states in its metadata that it is synthetic (IPTC digital "
        "source type `trainedAlgorithmicMedia`), and by which model, seeds and psi it was drawn. `facesmith sample "
        "--like PICTURE` draws it again. With the extra `c2pa`, pictures can carry signed content credentials."
    )


COPY_CHECK = {"threshold", "real_ratio", "samples", "allowed"}  # entries of a report, if copies were searched
SECTIONS = (intro, usage, license, data, training, evaluation, memorization, classifier, biases, provenance)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_row(header), "|" + "---|" * len(header), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(value: object) -> str:
    return UNKNOWN if value is None else f"`{value}`"


def _yes_or_no(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else UNKNOWN


def _interval(score: Score) -> str:
    low, high = score.get("low"), score.get("high")
    return UNKNOWN if low is None or high is None else f"{low:.4g} to {high:.4g}"


def _real(score: Score) -> str:
    return UNKNOWN if score.get("real") is None else f"{score['real']:.4g}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.1f} minutes"
