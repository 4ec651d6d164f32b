"""What batches and threads gain in finding faces, and how many faces are found.

Prints, measured in one run: photos a second of the detector as `extract` uses it (batches, a thread for each processor)
and of the same detector on one photo at a time and one thread, their ratio, and whether both find the same boxes; then
the recall on photos with known faces.

Run: python benchmarks/extraction.py [--data FOLDER]
The folder holds lfw.zip and photos.zip (see docs/research/results.md).
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from facesmith.io.images import Pixels, read_picture
from facesmith.photos.detect import DEFAULT_THRESHOLD, Detections, Detector
from facesmith.photos.extract import BATCH_SIZE

ROUNDS = 6  # the two take turns, so that other work on the machine slows both
Found = list[Detections]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--lfw", type=int, default=768, help="how many photos of lfw.zip, evenly spread")
    options = parser.parse_args()
    archives = [options.data / name for name in ("lfw.zip", "photos.zip")]
    absent = [str(path) for path in archives if not path.exists()]
    if absent:
        sys.exit(f"absent: {', '.join(absent)}. Give the folder that holds them: --data FOLDER")
    lfw, photos = (zipfile.ZipFile(path) for path in archives)
    names = sorted(name for name in lfw.namelist() if name.endswith(".jpg"))
    chosen = names[:: max(1, len(names) // options.lfw)][: options.lfw]
    print(f"{torch.__version__=}, {os.cpu_count()} processors, threshold {DEFAULT_THRESHOLD}")
    compare("LFW, 250x250", read(lfw, chosen))
    compare("photos, mixed sizes", read(photos, pictures_in(photos, "")))
    print_recall(photos)


def read(archive: zipfile.ZipFile, names: Sequence[str]) -> list[Pixels]:
    return [read_picture(archive.read(name), name=name) for name in names]


def pictures_in(archive: zipfile.ZipFile, folder: str) -> list[str]:
    return sorted(name for name in archive.namelist() if folder in name and name.endswith(".jpg"))


def compare(title: str, photos: list[Pixels]) -> None:
    """One photo at a time on one thread against batches on all processors, in turns."""
    detector = Detector()
    workers = os.cpu_count() or 1
    found: tuple[Found, Found] = ([], [])
    seconds, processor_seconds = [0.0, 0.0], [0.0, 0.0]
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def singly(part: list[Pixels]) -> Found:  # in the pool too: there torch uses one thread
            return pool.submit(lambda: [detector.detect([photo])[0] for photo in part]).result()

        def together(part: list[Pixels]) -> Found:
            # As extract does; short parts are cut finer, so that no thread is idle.
            size = min(BATCH_SIZE, -(-len(part) // workers))
            batches = [part[start : start + size] for start in range(0, len(part), size)]
            return [faces for batch in pool.map(detector.detect, batches) for faces in batch]

        ways: tuple[Callable[[list[Pixels]], Found], ...] = (singly, together)
        for way in ways:
            way(photos[:4])  # warm up
        for number in range(ROUNDS):
            part = photos[number::ROUNDS]
            for i, way in enumerate(ways):
                start, processor_start = time.perf_counter(), time.process_time()
                found[i].extend(way(part))
                seconds[i] += time.perf_counter() - start
                processor_seconds[i] += time.process_time() - processor_start
    print(f"{title}: {len(photos)} photos")
    names = ("one at a time, one thread", f"batches, {workers} threads")
    for name, spent, busy in zip(names, seconds, processor_seconds, strict=True):
        rate, each_ms = len(photos) / spent, busy / len(photos) * 1000
        print(f"  {name:25} {rate:7.1f} photos/s, {each_ms:5.1f} ms of one processor each, {busy / spent:.1f} at work")
    print(f"  {seconds[0] / seconds[1]:.2f} times as many photos a second; {agreement(*found)}")


def agreement(alone: Found, together: Found) -> str:
    """Whether two runs found the same faces, and how far their boxes are apart."""
    same = [len(a) == len(b) for a, b in zip(alone, together, strict=True)]
    pairs = [(a, b) for a, b, equal in zip(alone, together, same, strict=True) if equal and len(a)]
    apart = max(float(np.abs(a.boxes - b.boxes).max()) for a, b in pairs)
    return f"same number of faces in {sum(same)} of {len(same)} photos; boxes at most {apart:.4f} px apart"


def print_recall(photos: zipfile.ZipFile) -> None:
    boxed = pictures_in(photos, "boxed/")
    table = next(name for name in photos.namelist() if name.endswith("boxes.csv"))
    wanted = list(csv.DictReader(io.StringIO(photos.read(table).decode())))
    found = dict(zip(boxed, Detector(min_face_px=20).detect(read(photos, boxed)), strict=True))
    hits = sum(is_hit(row, found) for row in wanted if row["ignore"] == "0")
    print(f"boxed, --min-face 20: {hits} of {sum(row['ignore'] == '0' for row in wanted)} boxes found (IoU .5 or more)")
    for folder in ("portraits", "no_face"):
        names = pictures_in(photos, f"{folder}/")
        for min_face_px in (40, 20):
            detections = Detector(min_face_px).detect(read(photos, names))
            hits = sum(any(faces.boxes[:, 3] >= min_face_px) for faces in detections)
            print(f"{folder}, --min-face {min_face_px}: a face in {hits} of {len(names)} photos")


def is_hit(row: dict[str, str], found: dict[str, Detections]) -> bool:
    boxes = next(faces.boxes for name, faces in found.items() if name.endswith(row["file_name"]))
    box = np.array([float(row[name]) for name in ("left", "top", "width", "height")])
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:])
    shared = (high - low).clip(0).prod(1)
    return bool((shared / (boxes[:, 2:].prod(1) + box[2:].prod() - shared) >= 0.5).any())


if __name__ == "__main__":
    main()
