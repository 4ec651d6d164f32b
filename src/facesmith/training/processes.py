"""The processes that train one run together, as started by `torchrun`.

Each process trains on its own images. Gradients are averaged before every optimizer step, so the weights stay the same
everywhere. The first process alone reads and writes the run folder, measures, prints and decides.

For a single process, every method does nothing or returns its argument. `torch.distributed` is not imported then.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from rich.console import Console
from torch import Tensor, nn

from facesmith.errors import BadOption, FacesmithError, ProcessLost
from facesmith.io.cpus import usable_cpus

# Environment variables that torchrun sets.
LAUNCHED = "TORCHELASTIC_RUN_ID"
RESTARTS = "TORCHELASTIC_RESTART_COUNT"
START_TIMEOUT = timedelta(minutes=5)  # processes on other machines may start later
LOST_TIMEOUT = timedelta(seconds=45)  # after this time without a message, a process counts as lost
HEARTBEAT_SECONDS = 5.0
STORE_SECONDS = 5.0
WORKING, DONE, FAILED = 0, 1, -1  # states of a process; the least of all is that of the group
T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: the number of this process, from 0.
        count: of all processes, on all machines.
        on_machine: the number of processes on this machine.
        rank_on_machine: the number of this process among these.
    """

    rank: int = 0
    count: int = 1
    on_machine: int = 1
    rank_on_machine: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes, prints and decides."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """CPU threads for each process of this machine."""
        return max(1, usable_cpus() // self.on_machine)

    def console(self, console: Console) -> Console:
        """The console for the first process; a silent one for the others."""
        return console if self.is_first else Console(quiet=True)

    def average(self, tensor: Tensor) -> Tensor:
        """The mean of a detached tensor over the processes; all of them get the same."""
        if self.count == 1:
            return tensor
        mean = tensor.detach().float().clone(memory_format=torch.contiguous_format)
        self._average_in_place(mean)
        return mean

    def average_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Average the gradients over the processes, in place, in one message. Returns the mean of the detached loss."""
        if self.count == 1:
            return loss.detach()
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([*(each.flatten() for each in gradients), loss.detach().float().reshape(1)])
        self._average_in_place(flat)
        *means, mean_loss = torch.split(flat, [*(each.numel() for each in gradients), 1])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return mean_loss.squeeze(0)

    def average_terms(self, terms: Mapping[str, Tensor], flag: bool) -> tuple[dict[str, Tensor], bool]:
        """Combine the loss terms of a step and a flag over the processes, with one message.

        Returns:
            The terms, with scalars averaged over the processes and images of this process; and whether the flag is set
            in any process.
        """
        if self.count == 1:
            return dict(terms), flag
        names = sorted(name for name, term in terms.items() if not term.ndim)
        scalars = [terms[name].float() for name in names]
        device = scalars[0].device if scalars else torch.device("cpu")
        *means, flagged = self.average(torch.stack([*scalars, torch.tensor(float(flag), device=device)])).unbind()
        return {**terms, **dict(zip(names, means, strict=True))}, bool(flagged > 0)

    def from_first(self, value: T) -> T:
        """The first process's value, in all processes."""
        if self.count == 1:
            return value
        values = [value if self.is_first else None]
        with _finding_lost_processes():
            torch.distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]  # type: ignore[return-value]

    def on_first(self, function: Callable[[], T]) -> T:
        """Call a function in the first process only. The others wait, and get its result."""
        if self.count == 1:
            return function()
        result: Any = None
        with self.waiting_for_all():
            if self.is_first:
                result = function()
        return self.from_first(result)  # type: ignore[no-any-return]

    @contextmanager
    def waiting_for_all(self) -> Iterator[None]:
        """Wait at the end of the block until all processes are there, however long one of them takes.

        Meanwhile each process sends heartbeats, so that a lost one is noticed in time.

        Raises:
            SystemExit: the block failed in another process, which reports it.
            ProcessLost: a process or its machine is gone.
        """
        if self.count == 1:
            yield
            return
        heartbeat = _Heartbeat(self._least)
        heartbeat.start()
        try:
            yield
        except BaseException:
            heartbeat.finish(FAILED)
            raise
        if heartbeat.finish(DONE) == FAILED:
            raise SystemExit(1)
        if heartbeat.error is not None:
            raise heartbeat.error

    def _average_in_place(self, tensor: Tensor) -> None:
        with _finding_lost_processes():
            torch.distributed.all_reduce(tensor)
        tensor /= self.count

    def _least(self, number: int) -> int:
        """The smallest of one number per process."""
        tensor = torch.tensor(number)  # on the CPU, also if the networks are not
        with _finding_lost_processes():
            torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MIN)
        return int(tensor)


ALONE = Processes()


class _Heartbeat(threading.Thread):
    """Exchanges the states of all processes every few seconds, until all are done or one has failed."""

    def __init__(self, least: Callable[[int], int]) -> None:
        super().__init__(daemon=True)
        self.error: ProcessLost | None = None
        self._least, self._state, self._finished = least, WORKING, threading.Event()
        self._group = WORKING

    def run(self) -> None:
        try:
            while self._group == WORKING:
                self._finished.wait(HEARTBEAT_SECONDS)
                self._group = self._least(self._state)
        except ProcessLost as error:
            self.error = error

    def finish(self, state: int) -> int:
        """Report the final state of this process, wait for the others, and return the state of the group."""
        self._state = state
        self._finished.set()
        self.join()
        return self._group


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Connect to the other processes that `torchrun` has started, if there are any, while the block runs.

    If the block fails, the first process to fail reports its error. The others end silently.

    Raises:
        BadOption: several processes can't share this device.
        ProcessLost: a process or its machine is gone.
    """
    count = int(os.environ.get("WORLD_SIZE", "1")) if LAUNCHED in os.environ else 1
    if count == 1:
        yield ALONE
        return
    import torch.distributed as dist
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    on_machine, rank_on_machine = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    _check_device(device, on_machine)
    if device.type == "cuda":
        torch.cuda.set_device(rank_on_machine)
    with _finding_lost_processes():
        store, rank, count = next(rendezvous("env://", timeout=START_TIMEOUT))
        start = store.add(f"starts of {rank}", 1)  # a program may train several times
        store = PrefixStore(f"start {start}", store)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=LOST_TIMEOUT)
    try:
        yield Processes(rank, count, on_machine, rank_on_machine)
        with _finding_lost_processes():
            dist.barrier()  # so that none closes its connections while another one still exchanges
    except FacesmithError as error:
        if not _reports(store):
            raise SystemExit(error.exit_code) from None
        raise
    finally:
        # Threads of Gloo that outlive the interpreter abort the process. No exchange is open here, so this is quick.
        dist.destroy_process_group()


def is_restart() -> bool:
    """Whether `torchrun --max-restarts` has started the processes again after a failure."""
    return int(os.environ.get(RESTARTS, "0")) > 0


def end_if_launched() -> None:
    """End this process now, successfully, if it is one of several that `torchrun` has started.

    Python's own end can meet a thread of PyTorch that is still about to finish. That aborts the process, and torchrun
    then reports a failure although everything is saved.
    """
    if LAUNCHED in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _check_device(device: torch.device, on_machine: int) -> None:
    if device.type not in ("cpu", "cuda"):
        raise BadOption(f"Several processes can't share the device {device.type}. Add --device cpu.")
    if device.type == "cuda" and on_machine > (gpus := torch.cuda.device_count()):
        raise BadOption(
            f"{on_machine} processes were started on a machine with {gpus} GPUs; each needs its own. "
            f"Use --nproc-per-node {gpus}, or add --device cpu."
        )


def _reports(store: Any) -> bool:
    """Whether this process reports its error, because no other one has reported an error yet.

    If the store was on the lost machine, the answer may never come, and the store's own timeout does not apply.
    """
    numbers: list[int] = []

    def count() -> None:
        with suppress(RuntimeError):
            numbers.append(store.add("errors", 1))

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    thread.join(STORE_SECONDS)
    return numbers in ([], [1])


@contextmanager
def _finding_lost_processes() -> Iterator[None]:
    """Turn the errors of a broken connection into ProcessLost."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ProcessLost(
            "Another process of this training has ended or can't be reached. The last checkpoint is intact; "
            "the same torchrun command, without --force, resumes from it."
        ) from error
