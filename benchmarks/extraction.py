"""Measure the speed and the recall of face detection.

Compares the detector as `extract` uses it (batches, one thread per processor) with the same detector on one photo at a
time and one thread. Prints photos per second of both, their ratio, and whether both find the same boxes. It does so for
photos of one size, for photos as they are, and for photos resized at random to 300 to 3,000 px. Then it prints the
recall on photos with annotated faces.

Run: python benchmarks/extraction.py [--data FOLDER] [--mixed 1310]
FOLDER must contain lfw.zip and photos.zip; docs/research/results.md describes them.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facesmith.detection.detect import DEFAULT_THRESHOLD, Detections, Detector
from facesmith.io.cpus import usable_cpus
from facesmith.photos.collect import BATCH_SIZE
from facesmith.pictures.images import Pixels, read_picture

MAX_PART = 786  # photos in ROUNDS rounds; more take more rounds, because the photos of a round are in memory
ROUNDS = 6  # the two methods alternate, so that other work on the machine slows both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--lfw", type=int, default=768, help="number of photos from lfw.zip, evenly spaced")
    parser.add_argument("--mixed", type=int, default=262, help="number of photos that are resized at random")
    options = parser.parse_args()
    archives = [options.data / name for name in ("lfw.zip", "photos.zip")]
    missing = [str(path) for path in archives if not path.exists()]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. Give the folder that contains them: --data FOLDER")
    lfw, photos = (zipfile.ZipFile(path) for path in archives)
    names = sorted(name for name in lfw.namelist() if name.endswith(".jpg"))
    chosen = names[:: max(1, len(names) // options.lfw)][: options.lfw]
    print(f"{torch.__version__=}, {usable_cpus()} usable CPUs, threshold {DEFAULT_THRESHOLD}")
    compare_speed("LFW, 250x250", len(chosen), lambda rows: read_pictures(lfw, [chosen[row] for row in rows]))
    various = picture_names(photos, "")
    compare_speed(
        "photos of various sizes", len(various), lambda rows: read_pictures(photos, [various[i] for i in rows])
    )
    compare_speed("photos of 300 to 3,000 px", options.mixed, lambda rows: resized_pictures(photos, various, rows))
    print_recall(photos)


def read_pictures(archive: zipfile.ZipFile, names: Sequence[str]) -> list[Pixels]:
    return [read_picture(archive.read(name), name=name) for name in names]


def picture_names(archive: zipfile.ZipFile, folder: str) -> list[str]:
    return sorted(name for name in archive.namelist() if folder in name and name.endswith(".jpg"))


def resized_pictures(archive: zipfile.ZipFile, names: Sequence[str], rows: Sequence[int]) -> list[Pixels]:
    """The photos again and again, each time with another longer side of 300 to 3,000 px, always the same ones."""
    resized = []
    for row in rows:
        picture = Image.fromarray(read_picture(archive.read(names[row % len(names)]), name=names[row % len(names)]))
        factor = np.random.default_rng(row).integers(300, 3001) / max(picture.size)
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        resized.append(np.asarray(picture.resize(size, Image.Resampling.BILINEAR)))
    return resized


def compare_speed(title: str, count: int, read: Callable[[Sequence[int]], list[Pixels]]) -> None:
    """Print the speed of single photos on one thread and of batches on all processors.

    Args:
        read: the photos of some numbers below `count`. Reading is not measured.
    """
    detector = Detector()
    workers = usable_cpus()
    results: tuple[list[Detections], list[Detections]] = ([], [])
    seconds, processor_seconds = [0.0, 0.0], [0.0, 0.0]
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def detect_singly(part: list[Pixels]) -> list[Detections]:  # in the pool, where torch uses one thread
            return pool.submit(lambda: [detector.detect([photo])[0] for photo in part]).result()

        def detect_in_batches(part: list[Pixels]) -> list[Detections]:
            # Batches as in `extract`, or smaller ones, so that every thread has work.
            size = min(BATCH_SIZE, -(-len(part) // workers))
            batches = [part[start : start + size] for start in range(0, len(part), size)]
            return [faces for batch in pool.map(detector.detect, batches) for faces in batch]

        methods: tuple[Callable[[list[Pixels]], list[Detections]], ...] = (detect_singly, detect_in_batches)
        for method in methods:
            method(read(range(min(4, count))))  # warm-up
        parts = -(-count // MAX_PART) * ROUNDS
        for number in range(parts):
            part = read(range(number, count, parts))
            for i, method in enumerate(methods):
                start, processor_start = time.perf_counter(), time.process_time()
                results[i].extend(method(part))
                seconds[i] += time.perf_counter() - start
                processor_seconds[i] += time.process_time() - processor_start
    print(f"{title}: {count} photos")
    names = ("one at a time, one thread", f"batches, {workers} threads")
    for name, elapsed, busy in zip(names, seconds, processor_seconds, strict=True):
        rate, each_ms = count / elapsed, busy / count * 1000
        print(f"  {name:25} {rate:7.1f} photos/s, {each_ms:5.1f} ms of processor time each, {busy / elapsed:.1f} busy")
    print(f"  speed-up {seconds[0] / seconds[1]:.2f}; {agreement(*results)}")


def agreement(singly: list[Detections], batched: list[Detections]) -> str:
    """How many photos have the same number of faces in both results, and the largest difference of their boxes."""
    same = [len(a) == len(b) for a, b in zip(singly, batched, strict=True)]
    pairs = [(a, b) for a, b, equal in zip(singly, batched, same, strict=True) if equal and len(a)]
    difference = max(float(np.abs(a.boxes - b.boxes).max()) for a, b in pairs)
    return f"same number of faces in {sum(same)} of {len(same)} photos; boxes differ by at most {difference:.4f} px"


def print_recall(photos: zipfile.ZipFile) -> None:
    names = picture_names(photos, "boxed/")
    table = next(name for name in photos.namelist() if name.endswith("boxes.csv"))
    rows = list(csv.DictReader(io.StringIO(photos.read(table).decode())))
    annotated = [row for row in rows if row["ignore"] == "0"]
    detections = dict(zip(names, Detector(min_face_px=20).detect(read_pictures(photos, names)), strict=True))
    hits = sum(is_detected(row, detections) for row in annotated)
    print(f"boxed, --min-face 20: {hits} of {len(annotated)} boxes found (IoU 0.5 or more)")
    for folder in ("portraits", "no_face"):
        names = picture_names(photos, f"{folder}/")
        for min_face_px in (40, 20):
            results = Detector(min_face_px).detect(read_pictures(photos, names))
            hits = sum(any(faces.boxes[:, 3] >= min_face_px) for faces in results)
            print(f"{folder}, --min-face {min_face_px}: a face in {hits} of {len(names)} photos")


def is_detected(row: dict[str, str], detections: dict[str, Detections]) -> bool:
    """Whether a detected box overlaps the annotated box of a row with an IoU of 0.5 or more."""
    boxes = next(faces.boxes for name, faces in detections.items() if name.endswith(row["file_name"]))
    box = np.array([float(row[name]) for name in ("left", "top", "width", "height")])
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:])
    shared = (high - low).clip(0).prod(1)
    return bool((shared / (boxes[:, 2:].prod(1) + box[2:].prod() - shared) >= 0.5).any())


if __name__ == "__main__":
    main()
