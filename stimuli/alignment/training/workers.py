"""Several processes that train one network together, as ``torchrun`` starts them; one alone without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from subjects.errors import NetworkError


@dataclass(frozen=True)
class Workers:
    """The processes that train together.

    Parameters
    ----------
    rank : int
        Which of them this is, from 0; the first one writes.
    count : int
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def wrap(self, module: nn.Module, *, device: torch.device) -> Any:
        """Let a module's gradients be means over all processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)

    def add(self, values: Tensor) -> Tensor:
        """Sum values over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def agree(self) -> None:
        """Wait for one another."""
        if self.count > 1:
            distributed.barrier()


ALONE = Workers()
"""One process."""


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Workers, torch.device]]:
    """Join the processes that ``torchrun`` started, for the block; without it this process is alone.

    Parameters
    ----------
    device : torch.device
        ``cuda`` becomes the GPU of this process's local rank.

    Yields
    ------
    (Workers, torch.device)

    Raises
    ------
    NetworkError
        If there are more processes on this computer than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE, device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise NetworkError("torchrun", came=f"process {local + 1} on this computer",
                               expected=f"at most {torch.cuda.device_count()}, one a GPU",
                               remedy="Give --nproc-per-node the number of GPUs.")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(distributed.get_rank(), count), device
    finally:
        distributed.destroy_process_group()
