"""A worker process of `--engine local`: extracts one shard after another, as its parent requests on standard input.

The parent sends a `ShardJob` as a pickle, then slices. After each slice the worker answers with None, or the error.
Run by `local_engine.py`: python -P -m facesmith.photos.shard_worker
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback

from facesmith.photos.extract_shard import extract_in_worker


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints must not mix with the answers
    job = pickle.load(requests)
    while True:
        try:
            part = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = extract_in_worker(job, part)
        except Exception:  # noqa: BLE001 (the parent raises it with this traceback)
            answer = RuntimeError(traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


def _end_with_parent(parent: int) -> None:
    """End this process soon after its parent was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
