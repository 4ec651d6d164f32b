"""The sections of a card, in Markdown. A fact that no file states appears as "unknown"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facesmith.card.facts import Facts
from facesmith.io.progress import duration_in_words
from facesmith.modelfiles.evaluation_file import UNCERTAIN, Score, Share
from facesmith.watermark.embed import MIN_SIDE_PX

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
    yield "## License and consent"
    yield f"- Model: {options.license or UNKNOWN}.\n- Training data: {options.data_license or UNKNOWN}."
    yield f"Consent of the people shown in the training data: {options.consent or UNKNOWN}."
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
        ("time", UNKNOWN if facts.seconds is None else duration_in_words(facts.seconds)),
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
    yield (
        f"Where the labels come from: {facts.options.labels or UNKNOWN}. An attribute is how a face looks in a "
        "picture. It says nothing about who a person is."
    )


def memorization(facts: Facts) -> Iterator[str]:
    """Whether it copies its training faces."""
    yield "## Memorization"
    if facts.result is None:
        yield "Not checked: it is unknown whether the model copies faces of its training data."
        return
    copies = facts.result["copies"]
    yield facts.result["verdicts"].get(NEW_FACES, "The report has no verdict on copies.")
    if copies.get("checked") and copies.keys() >= COPY_CHECK and copies["ratio"] is not None:
        yield (
            "The copy check divides a sample's distance to the nearest training face by its distance to the nearest "
            f"held-out face. The median ratio is {copies['ratio']['value']:.3f}; for real faces that the model never "
            f"saw, it is {copies['real_ratio']:.3f}. A sample with a ratio below {copies['threshold']:.3f} counts as "
            f"a copy: {copies['samples']} do, and up to {copies['allowed']} can by chance."
        )
    people = facts.result.get("people")
    if people is not None and people["checked"] and (share := people.get("share")):
        yield (
            f"By face recognition, {share['value']:.1%} of the samples ({_interval_of_share(share)}) are nearer to a "
            "training person than 95 % of held-out people are. By chance, 5 % are."
        )


def representation(facts: Facts) -> Iterator[str]:
    """Which people it draws, and which are missing."""
    yield "## Who is drawn, and who is missing"
    yield (
        "A model does not always keep the shares of its training data: what is rare there is often rarer among its "
        "faces. They do not represent any population."
    )
    attributes = facts.result.get("attributes") if facts.result else None
    if attributes:
        rows = [
            (
                name,
                _share(each["data"]),
                UNKNOWN if each["difference"] == UNCERTAIN else _share(each["samples"]),
                each["difference"],
                f"{each['accuracy']:.0%}",
            )
            for name, each in attributes.items()
        ]
        yield _table(("attribute", "data", "samples", "difference", "accuracy"), rows)
        if any(each.get("labels", "data") != "data" for each in attributes.values()):
            yield (
                "The data has no labels. The bundled attribute classifier took their place; its accuracy on this data "
                "is unknown. *Data* is the share of the training faces in which it finds the attribute. *Accuracy* is "
                "how often a probe, which counts the samples, agrees with it; 50 % is chance."
            )
        else:
            yield (
                "*Data* is the share of the labels among the training faces. *Samples* were labeled by a probe, whose "
                "errors are corrected; its *accuracy* was measured on held-out faces, and 50 % is chance."
            )
        yield "*Uncertain* means that the probe is too weak to count this attribute."
        assert facts.result is not None
        lost = facts.result.get("lost_attributes", [])
        rare = [name for name, each in attributes.items() if each["data"]["value"] < RARE_SHARE]
        if lost:
            yield f"Rarer than in the data: {', '.join(lost)}."
        if rare:
            yield f"Rare in the data itself, below {RARE_SHARE:.0%}: {', '.join(rare)}."
    if facts.options.biases:
        yield facts.options.biases
    elif not attributes:
        yield "The shares of such attributes among its faces were not measured: unknown."


def failures(facts: Facts) -> Iterator[str]:
    """How its faces fail."""
    yield "## Known failures"
    if facts.result is None:
        yield "Not measured: unknown."
        return
    rate = facts.result["face_rate"]
    yield f"- In {1 - rate['value']:.1%} of the samples, the face detector finds no face."
    variety = {name: s for name, s in facts.result["metrics"].items() if name.startswith(("recall", "coverage"))}
    if variety:
        scores = ", ".join(f"{name} {s['value']:.3f} (real faces {_real(s)})" for name, s in variety.items())
        yield f"- Coverage of the variety of real faces: {scores}."
    yield (
        "- As in all small generators, eyes, ears and earrings may differ between the sides, glasses and hats may "
        "merge with the face, and backgrounds show no real place. Strong edits and latents far from the average break "
        "faces."
    )


def marking(facts: Facts) -> Iterator[str]:
    """How to recognize its file and its pictures."""
    yield "## Marking"
    yield f"`{facts.model.path.name}` has the sha256 `{facts.model.hash}`."
    watermark = (
        f"Faces of {facts.model.recipe.resolution} px are too small for the watermark."
        if facts.model.recipe.resolution < MIN_SIDE_PX
        else "Each face carries an invisible watermark, which `facesmith detect` finds, also after JPEG and resizing."
    )
    yield (
        f"{watermark} Every picture and film that Facesmith makes with it states in its metadata that it is synthetic "
        "(IPTC digital source type `trainedAlgorithmicMedia`). Samples also name the model, seeds and psi, so "
        "`facesmith sample --like PICTURE` draws them again. With the extra `c2pa`, pictures can carry signed content "
        "credentials. None of these marks survives deliberate removal."
    )


COPY_CHECK = {"threshold", "real_ratio", "samples", "allowed"}  # entries of a report, if copies were searched
RARE_SHARE = 0.05
SECTIONS = (
    *(intro, usage, license, data, training, evaluation, memorization, classifier),
    *(representation, failures, marking),
)


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


def _interval_of_share(score: Score) -> str:
    low, high = score.get("low"), score.get("high")
    return UNKNOWN if low is None or high is None else f"{low:.1%} to {high:.1%}"


def _share(share: Share) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})"


def _real(score: Score) -> str:
    return UNKNOWN if score.get("real") is None else f"{score['real']:.4g}"
