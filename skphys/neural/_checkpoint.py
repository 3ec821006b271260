"""Keeping the state of a training on disk, so that it can go on after the process has ended."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

SECONDS_BETWEEN = 30.0


class Checkpoint:
    """One file that holds everything a training needs to go on exactly where it was.

    Parameters
    ----------
    directory : str or path-like
        Where; made if missing.
    key : str
        What identifies the training: a hash of its settings and its data. Trainings that differ
        have different files, so that a search can use one directory.
    """

    def __init__(self, directory: Any, key: str) -> None:
        self.path = Path(directory) / f"fno-{key}.pt"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.written = time.monotonic()

    def load(self, device: Any = "cpu") -> dict[str, Any] | None:
        """Return the state, or None if there is none yet."""
        if not self.path.exists():
            return None
        return torch.load(self.path, map_location=device, weights_only=True)

    def restore(self, net: Any) -> None:
        """Take over weights, optimiser, schedule, history and best weights, if there are any."""
        state = self.load(net.device)
        if state is None or len(state["history"]) > net.max_epochs:
            return
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.scheduler_.load_state_dict(state["scheduler"])
        net.history_[:] = state["history"]
        if net.best_ is not None:
            net.best_.load_state_dict(state["best"])

    def save_if_due(self, net: Any) -> None:
        """Save, unless that was done a moment ago."""
        if time.monotonic() - self.written >= SECONDS_BETWEEN:
            self.save(net)

    def save(self, net: Any) -> None:
        """Save; a process that ends in the middle leaves the file before."""
        state = {
            "seeds": [net.split_seed, *net.seeds],
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "scheduler": net.scheduler_.state_dict(),
            "history": [_plain(row) for row in net.history],
            "best": None if net.best_ is None else net.best_.state_dict(),
        }
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        torch.save(state, partial)
        os.replace(partial, self.path)
        self.written = time.monotonic()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "batches"} | {"batches": []}
