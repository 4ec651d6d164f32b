"""Make the plan of a new run by measuring this machine, or check the plan of an existing run against a command."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from facesmith.attributes.conditioning import labels_fingerprint, repeat_rare_labels
from facesmith.device import PRECISIONS, pick_device, usable_devices
from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.faces import Faces, Stream
from facesmith.gan.contracts import set_level
from facesmith.gan.recipe import Recipe, condition_of, default_hyperparameters
from facesmith.io.cpus import usable_cpus
from facesmith.io.files import holds_files, remove_partial_files
from facesmith.io.lock import lock_names
from facesmith.metrics.features import open_extractor
from facesmith.modelfiles.run_folder import LOCK, MODEL, PLAN, RUN_FILES, RUN_FOLDERS, STATE
from facesmith.training.as_in_text import save_interval
from facesmith.training.finetune import PretrainedModel
from facesmith.training.memory_estimate import FLOAT_BYTES, check_training_memory, free_on_device
from facesmith.training.pace import best_threads, candidate_threads
from facesmith.training.plan import Plan, TrainOptions, budget_request, read_plan, write_plan
from facesmith.training.processes import Processes
from facesmith.training.speed import Speed, measure, measure_threads
from facesmith.training.state import new_state
from facesmith.training.validation import EXTRACTOR, affordable_validation, check_validation_split

DEFAULT_MINUTES = 30.0
MAX_CHECKPOINTS = 40  # per run, if --save-every is not given
MIN_CHECKPOINT_SECONDS = 20.0
MIB = 2**20
COPIES_WHILE_WRITING = 2  # files are replaced atomically, so old and new exist for a moment


def make_plan(
    options: TrainOptions,
    recipe: Recipe,
    faces: Faces,
    pretrained: PretrainedModel | None,
    processes: Processes,
    console: Console,
) -> Plan:
    """The plan in the run folder, checked against the options, or a new one.

    Raises:
        FacesmithError: the folder contains something else, its plan differs or is damaged, or the disk is too full.
    """
    file = options.out / PLAN
    for folder in RUN_FOLDERS:
        remove_partial_files(options.out / folder)
    if not file.exists() and holds_files(options.out, lock_names(LOCK)):
        raise OutputExists(f"{options.out} is not empty and contains no run. Choose another --out.")
    if options.validate_every_kimg is not None:
        check_validation_split(faces)
    if options.force or not file.exists():
        plan = _new_plan(options, recipe, faces, pretrained, processes, console)
        plan = _with_validation(options, plan, recipe, faces, console)
        _remove_run(options.out)  # only now: everything that can fail has succeeded
        write_plan(file, plan)
        if options.force:
            console.print("notice: to resume this run later, leave out --force, which would delete it.")
        return plan
    stored = read_plan(file)
    if (options.out / MODEL).exists() and not (options.out / STATE).exists():
        raise BadModel(
            f"{options.out} contains a model but no {STATE}, so the run can't be resumed. "
            "Choose another --out, or start over with --force."
        )
    _check_same_processes(options, processes, stored)
    _check_same_run(options, recipe, faces, pretrained, stored)
    epoch_images = recipe.epoch_images(len(faces.part("train")))
    plan = _on_this_machine(options, _updated(options, stored, epoch_images), console)
    torch.set_num_threads(plan.threads)
    advice = "The batch size of a run can't change: free some memory, or resume on a machine that has more."
    check_training_memory(recipe, torch.device(plan.device), plan.precision, advice, processes.on_machine)
    plan = _with_validation(options, plan, recipe, faces, console)
    if plan != stored:
        write_plan(file, plan)
    return plan


def training_stream(plan: Plan, faces: Faces, rank: int = 0) -> Stream:
    """The training split as a stream of batches for one process, at its start."""
    rows = faces.own_part("train")
    if faces.labels is not None:
        rows = repeat_rare_labels(rows, faces.labels)
    return Stream(
        faces.pixels,
        rows,
        seed=plan.seed,
        mirror=plan.mirror,
        labels=faces.labels,
        rank=rank,
        processes=plan.processes,
        own=faces.rows is not None,
    )


def _new_plan(
    options: TrainOptions,
    recipe: Recipe,
    faces: Faces,
    pretrained: PretrainedModel | None,
    processes: Processes,
    console: Console,
) -> Plan:
    """Measure the training speed, make the plan, and print the time, memory and disk space that the run needs."""
    device = pick_device(options.device)
    threads = options.threads or min(torch.get_num_threads(), usable_cpus())
    if processes.count > 1:  # torchrun limits PyTorch to one thread
        threads = options.threads or processes.threads
    # Several processes keep their number of threads: to each of them the others look like other programs.
    is_fixed = options.threads is not None or device.type != "cpu" or processes.count > 1
    max_threads = None if is_fixed else threads
    torch.set_num_threads(threads)
    memory_bytes = check_training_memory(recipe, device, options.precision, processes=processes.on_machine)
    console.print("measuring training speed on this machine ...")
    speed = measure(recipe, device, options.precision, faces.own_pixels)
    images_per_second = speed.chosen
    if max_threads is not None and max_threads > 1:
        candidates = candidate_threads(max_threads)
        speeds = measure_threads(recipe, device, speed.precision, faces.own_pixels, candidates)
        threads = best_threads(speeds, current=max_threads)
        images_per_second = speeds[threads]
    images_per_second *= processes.count
    request = budget_request(options) or {"minutes": DEFAULT_MINUTES}
    epoch_images = recipe.epoch_images(len(faces.part("train")))
    budget = _budget_in_images(request, images_per_second, epoch_images, recipe.batch_size * processes.count)
    save_every = save_interval(options, epoch_images)
    if save_every is None:
        save_every = int(max(budget / MAX_CHECKPOINTS, images_per_second * MIN_CHECKPOINT_SECONDS))
    plan = Plan(
        recipe=recipe.name,
        hyperparameters=recipe.hyperparameters(),
        fingerprint=faces.fingerprint,
        seed=options.seed,
        mirror=options.mirror,
        limit=options.limit,
        budget_request=request,
        budget=budget,
        save_every=max(1, save_every),
        precision=speed.precision,
        device=device.type,
        threads=threads,
        max_threads=max_threads,
        images_per_second=round(images_per_second, 1),
        data=str(options.data),
        on_trouble=options.on_trouble,
        average=options.average,
        hold_out=options.hold_out,
        as_in_text=options.as_in_text,
        finetuned_from=pretrained.plan_entry(options.finetune_from) if pretrained else {},
        labels=labels_fingerprint(faces.labels),
        processes=processes.count,
    )
    _print_requirements(plan, recipe, faces, speed, memory_bytes, options, console)
    return plan


def _with_validation(options: TrainOptions, plan: Plan, recipe: Recipe, faces: Faces, console: Console) -> Plan:
    """Add validation to a plan, if --validate-every requests it.

    The number of samples and the interval are chosen so that it takes at most 5 % of the training time.

    Without the option, a stored plan keeps its validation.
    """
    kimg = options.validate_every_kimg
    if kimg is None or plan.validation.get("kimg") == kimg:
        return plan
    requested, precision, device = int(kimg * 1000), PRECISIONS[plan.precision], torch.device(plan.device)
    stream = training_stream(replace(plan, processes=1), faces)
    state = new_state(recipe, stream, seed=plan.seed, budget=plan.budget, precision=precision, device=device)
    set_level(state.averages, 1.0)  # a growing network is slowest at its full size
    samples, every = affordable_validation(open_extractor(EXTRACTOR), state, requested, plan.images_per_second)
    instead = f" instead of {kimg:g}, so that it takes less than 5 % of the run" if every > requested else ""
    console.print(f"validating with {samples} samples every {every / 1000:.3g} kimg{instead}")
    return replace(plan, validation={"kimg": kimg, "every": every, "samples": samples})


def _print_requirements(
    plan: Plan,
    recipe: Recipe,
    faces: Faces,
    speed: Speed,
    memory_bytes: int,
    options: TrainOptions,
    console: Console,
) -> None:
    """Print the time, memory and disk space that the run needs.

    Raises:
        BadData: there is not enough disk space.
    """
    weights = {name: FLOAT_BYTES * count for name, count in recipe.parameter_counts().items()}
    model_bytes = sum(weights[name] for name in recipe.averaged)
    state_bytes = 3 * sum(weights.values()) + model_bytes  # weights, up to two moments of the optimizer, averages
    states = COPIES_WHILE_WRITING + (1 if options.on_trouble == "rollback" else 0)
    kept = options.snapshots
    if options.keep_epochs:
        kept += int(plan.budget / recipe.epoch_images(len(faces.part("train"))) / options.keep_epochs) + 1
    models = COPIES_WHILE_WRITING + kept + 1
    networks_bytes = (COPIES_WHILE_WRITING + kept if kept else 0) * sum(weights.values())
    disk_bytes = states * state_bytes + models * model_bytes + networks_bytes + MAX_CHECKPOINTS * MIB
    free_bytes = shutil.disk_usage(options.out).free
    minutes, face_count = plan.budget / plan.images_per_second / 60, len(faces.part("train"))
    console.print(
        f"{plan.recipe}: {plan.budget / 1000:.1f} kimg, {plan.budget / face_count:.3g} epochs of {face_count} faces, "
        f"at {plan.images_per_second:.0f} images/s, about {minutes:.0f} min\n"
        f"{plan.precision} ({speed.why}), {plan.device}, {_threads_text(plan)}\n"
        f"memory {memory_bytes / 2**30:.1f} GiB ({free_on_device(torch.device(plan.device)) / 2**30:.1f} free), "
        f"disk {disk_bytes / 2**30:.2f} GiB ({free_bytes / 2**30:.1f} free)",
    )
    if plan.processes > 1:
        console.print(
            f"{plan.processes} processes with batches of {recipe.batch_size}: each step averages the gradients of "
            f"{plan.processes * recipe.batch_size} images. Learning rates are not scaled.",
        )
    if free_bytes < disk_bytes:
        raise BadData(
            f"The disk of {options.out} has {free_bytes / MIB:.0f} MiB free; this run needs {disk_bytes / MIB:.0f}. "
            "Free some space, or choose another --out."
        )


def _threads_text(plan: Plan) -> str:
    return f"{plan.threads} threads" + (
        f" (of {plan.max_threads})" if plan.max_threads not in (None, plan.threads) else ""
    )


def _budget_in_images(
    request: Mapping[str, float], images_per_second: float, epoch_images: int, batch_size: int
) -> int:
    images_per_unit = {"kimg": 1000, "epochs": epoch_images, "minutes": 60 * images_per_second}
    ((unit, number),) = request.items()
    return max(batch_size, round(number * images_per_unit[unit]))


def _check_same_processes(options: TrainOptions, processes: Processes, stored: Plan) -> None:
    """Raise BadData if the run was started with another number of processes."""
    if processes.count != stored.processes:
        is_alone = processes.count == 1
        raise BadData(
            f"{options.out} was started with {_count_text(stored.processes)}, "
            f"now there {'is' if is_alone else 'are'} {processes.count}. "
            f"To resume it, use {'torchrun with' if stored.processes > 1 else 'the command without torchrun, as'} "
            f"{_count_text(stored.processes)}. To continue with {_count_text(processes.count)}, start a new run from "
            f"its model: --from {options.out} and another --out."
        )


def _count_text(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def _check_same_run(
    options: TrainOptions, recipe: Recipe, faces: Faces, pretrained: PretrainedModel | None, stored: Plan
) -> None:
    """Raise BadData, naming each difference, if the options request another run than the stored one."""
    stored_values = {
        name: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
        for name, value in {**default_hyperparameters(recipe), **stored.hyperparameters}.items()
    }
    requested_values = recipe.hyperparameters()
    condition = stored_values.pop("condition", ())  # compared separately
    requested_values.pop("condition", None)
    was_from, is_from = _names_of_pretrained(options, pretrained, stored)
    keeps_precision = options.precision == "auto" or options.device not in ("auto", stored.device)
    pairs: dict[str, tuple[object, object]] = {  # (stored, requested)
        "recipe": (stored.recipe, recipe.name),
        "--condition": (",".join(condition) or None, ",".join(condition_of(recipe)) or None),
        **{f"--set {name}": (stored_values.get(name), value) for name, value in requested_values.items()},
        "the faces' fingerprint": (stored.fingerprint[:16], faces.fingerprint[:16]),
        "the faces' labels": (stored.labels, labels_fingerprint(faces.labels)),
        "--seed": (stored.seed, options.seed),
        "--mirror": (stored.mirror, options.mirror),
        "--average": (stored.average, options.average),
        "--hold-out": (stored.hold_out, options.hold_out),
        "--as-in-text": (stored.as_in_text, options.as_in_text),
        "--limit": (stored.limit, options.limit),
        "--precision": (stored.precision, stored.precision if keeps_precision else options.precision),
        "--from": (was_from, is_from),
    }
    differences = [f"{option} was {was}, now {now}" for option, (was, now) in pairs.items() if was != now]
    if differences:
        moved = f"Its faces were at {stored.data}; if they have moved, pass their new path as --data. "
        raise BadData(
            f"{options.out} contains another run: {'; '.join(differences)}. "
            f"{moved if stored.fingerprint != faces.fingerprint else ''}"
            "Use the same options to resume it, choose another --out, or start over with --force."
        )


def _names_of_pretrained(
    options: TrainOptions, pretrained: PretrainedModel | None, stored: Plan
) -> tuple[str | None, str | None]:
    """The names of the stored and of the requested pretrained model; equal only for the same model.

    Names are paths. If two models have the same path, their hashes are added.
    """
    was = stored.finetuned_from.get("model")
    is_now = None if options.finetune_from is None else str(options.finetune_from)
    if was is None or is_now is None:
        return was, is_now
    if pretrained is None:  # a run that has its own state no longer needs the model
        return was, was
    was_hash, is_hash = str(stored.finetuned_from["hash"])[:16], pretrained.model.hash[:16]
    if was_hash == is_hash:
        return was, was
    return (was, is_now) if was != is_now else (f"{was} ({was_hash})", f"{is_now} ({is_hash})")


def _on_this_machine(options: TrainOptions, stored: Plan, console: Console) -> Plan:
    """The stored plan with the device and the threads that the options request or that this machine has.

    On another device the precision may change, too. All of these change how a run is computed, not what. A notice says
    what is lost.

    Raises:
        BadOption: this machine does not have the run's device.
    """
    max_threads = None
    if options.threads is None and stored.max_threads is not None:
        max_threads = min(stored.max_threads, usable_cpus())
    plan = replace(
        stored,
        device=stored.device if options.device == "auto" else pick_device(options.device).type,
        precision=stored.precision if options.precision == "auto" else options.precision,
        threads=options.threads or min(stored.threads, usable_cpus()),
        max_threads=max_threads,
    )
    if options.device == "auto" and stored.device not in (usable := usable_devices()):
        raise BadOption(
            f"{options.out} was trained on {stored.device}, which this machine does not have. To continue on another "
            f"device, add --device {usable[0]} (available: {', '.join(usable)})."
        )
    changes = [
        f"{name} {is_now} instead of {was}"
        for name, was, is_now in (
            ("device", stored.device, plan.device),
            ("precision", stored.precision, plan.precision),
            ("threads", stored.threads, plan.threads),
        )
        if was != is_now
    ]
    if changes:
        console.print(
            f"notice: the run continues with {', '.join(changes)}. Rounding differs from here on, so the model will "
            "not be byte-identical to that of an unchanged run.",
        )
    return plan


def _updated(options: TrainOptions, stored: Plan, epoch_images: int) -> Plan:
    """The stored plan with the options that may change between starts, and with a longer budget under --extend.

    One of them is the path of the same faces, which may have moved.
    """
    plan = replace(stored, on_trouble=options.on_trouble, data=str(options.data))
    if options.save_every_kimg:  # does not change the result
        plan = replace(plan, save_every=max(1, round(options.save_every_kimg * 1000)))
    request = budget_request(options) or stored.budget_request
    if request == stored.budget_request:
        return plan
    minutes, stored_minutes = request.get("minutes"), stored.budget_request.get("minutes")
    if minutes and stored_minutes:  # the stored budget was adjusted to the speed during the run
        budget = round(stored.budget * minutes / stored_minutes)
    else:
        budget = _budget_in_images(request, stored.images_per_second, epoch_images, 1)
    if not options.extend:
        ((unit, number),) = stored.budget_request.items()
        in_kimg = "" if unit == "kimg" else f" ({stored.budget / 1000:g} kimg)"
        raise BadData(
            f"{options.out} was planned for {number:g} {unit}{in_kimg}. Give the same budget to "
            "resume it, or add --extend to train to the new one."
        )
    if budget < stored.budget:
        raise BadOption(f"--extend makes a run longer: {budget / 1000:g} kimg is less than {stored.budget / 1000:g}.")
    return replace(plan, budget_request=request, budget=budget)


def _remove_run(out: Path) -> None:
    """Remove the files of a run, and nothing else.

    State and plan go last. If this is interrupted, the old run can still be resumed, or removed by the same command.
    """
    for name in reversed(RUN_FILES):
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
