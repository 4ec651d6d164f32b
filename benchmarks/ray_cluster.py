"""Measure Ray with two machines of one CPU each against one local worker, and lose one of them half-way.

Extracts the same photos four times: with `--engine local` and one worker, then two, on a Ray cluster of two single-CPU
nodes on this machine, and on such a cluster of which one node is killed when half of the shards are done. Prints the
photos per second of each, the speed-up, and whether all files are equal. Two local workers show what two CPUs of this
machine can give at most.

Run: python benchmarks/ray_cluster.py [--photos 4000] [--shards 100] [--data FOLDER]
FOLDER must contain lfw.zip; docs/research/results.md describes it. Needs two idle cores and the extra `ray`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--photos", type=int, default=4000)
    parser.add_argument("--shards", type=int, default=100, help="photos in each shard")
    options = parser.parse_args()
    os.environ.update(SINGLE_THREAD)
    with tempfile.TemporaryDirectory(prefix="ray-cluster-") as name:
        folder = Path(name)
        unpack(options.data / "lfw.zip", folder / "photos", options.photos)
        n_shards = -(-options.photos // options.shards)
        one = locally(folder, "local", options.shards, workers=1)
        report("local, 1 worker", options.photos, one)
        seconds = {
            "both": locally(folder, "both", options.shards, workers=2),
            "ray": on_cluster(folder, "ray", options.shards, kill_after=None),
            "killed": on_cluster(folder, "killed", options.shards, kill_after=n_shards // 2),
        }
        names = {"both": "local, 2 workers", "ray": "Ray, 2 nodes", "killed": "Ray, 2 nodes, one killed half-way"}
        for out, name in names.items():
            report(name, options.photos, seconds[out])
            print(f"  speed-up {one / seconds[out]:.2f}; same files: {same_files(folder / 'local', folder / out)}")


def unpack(archive: Path, folder: Path, count: int) -> None:
    """Evenly spaced photos of an archive, as files."""
    with zipfile.ZipFile(archive) as photos:
        names = sorted(name for name in photos.namelist() if name.endswith(".jpg"))
        for i in range(count):
            target = folder / f"{i:06d}-{Path(names[i % len(names)]).name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(photos.read(names[i % len(names) if count > len(names) else i * len(names) // count]))


def locally(folder: Path, out: str, shards: int, workers: int) -> float:
    """The seconds of an extraction with worker processes of this machine."""
    return seconds_of(extraction(folder, out, shards, "--engine", "local", "--workers", str(workers)))


def extraction(folder: Path, out: str, shards: int, *engine: str) -> subprocess.Popen[bytes]:
    arguments = ["extract", str(folder / "photos"), "--out", str(folder / out), "--shards", str(shards), *engine]
    return subprocess.Popen([sys.executable, "-m", "facesmith", *arguments], stdout=subprocess.DEVNULL)


def seconds_of(process: subprocess.Popen[bytes]) -> float:
    """The time from now to the end of an extraction, with the start of its workers."""
    start = time.perf_counter()
    if process.wait() != 0:
        sys.exit(f"The extraction failed: {process.args}")
    return time.perf_counter() - start


def on_cluster(folder: Path, out: str, shards: int, kill_after: int | None) -> float:
    """The seconds of an extraction on a new cluster. One node is killed after this number of shards."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        other = cluster.add_node(num_cpus=1)
        process = extraction(folder, out, shards, "--engine", "ray", "--address", cluster.address)
        start = time.perf_counter()
        while kill_after is not None and process.poll() is None:
            if len(list((folder / out).glob("*.tar"))) >= kill_after:
                cluster.remove_node(other, allow_graceful=False)
                break
            time.sleep(0.1)
        seconds_of(process)
        return time.perf_counter() - start
    finally:
        cluster.shutdown()


def report(name: str, photos: int, seconds: float) -> None:
    print(f"{name}: {photos} photos in {seconds:.1f} s, {photos / seconds:.1f} photos/s", flush=True)


def same_files(a: Path, b: Path) -> bool:
    """Whether two folders have the same files, byte for byte."""
    contents = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in (a, b)]
    return contents[0] == contents[1]


if __name__ == "__main__":
    main()
