"""Keeping the state of a training on disk, so that it can go on after the process has ended."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import torch

from skphys.neural._saving import check_finite, damage_named, written_whole

SECONDS_BETWEEN = 30.0

REMEDY = "delete it to train from the start."


class Checkpoint:
    """One file that holds everything a training needs to go on exactly where it was.

    Parameters
    ----------
    directory : str or path-like
        Where; made if missing.
    key : str
        What identifies the training: a hash of its settings and its data. Trainings that differ
        have different files, so that a search can use one directory.
    seeds : list of int
        Of the training, if it is not one that goes on.

    Attributes
    ----------
    seeds : list of int
        Of the training.

    Raises
    ------
    ValueError
        If there is a file that cannot be read.
    """

    def __init__(self, directory: Any, key: str, seeds: list[int]) -> None:
        self.path = Path(directory) / f"net-{key}.pt"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.written = time.monotonic()
        self.state: dict[str, Any] | None = None
        self.seeds = seeds
        if self.path.exists():
            with damage_named(self.path, REMEDY):
                self.state = torch.load(self.path, map_location="cpu", weights_only=True)
                self.seeds = [int(seed) for seed in self.state["seeds"]]

    def restore(self, net: Any) -> None:
        """Let a net go on from the state, if there was one."""
        state, self.state = self.state, None
        if state is None:
            return
        with damage_named(self.path, REMEDY):
            if len(state["history"]) > net.max_epochs:
                return
            check_finite(state["module"])
            net.module_.load_state_dict(state["module"])
            net.optimizer_.load_state_dict(state["optimizer"])
            net.scheduler_.load_state_dict(state["scheduler"])
            if net.best_ is not None:
                net.best_.load_state(state["best"])
            torch.set_rng_state(state["generators"][0])
            if torch.device(net.device).type == "cuda":
                torch.cuda.set_rng_state(state["generators"][1], net.device)
            net.history_[:] = state["history"]

    def save_if_due(self, net: Any) -> None:
        """Save, unless that was done a moment ago."""
        if time.monotonic() - self.written >= SECONDS_BETWEEN:
            self.save(net)

    def save(self, net: Any) -> None:
        """Save; a process that ends in the middle, or a full disk, leaves the file before."""
        generators = [torch.get_rng_state()]
        if torch.device(net.device).type == "cuda":
            generators.append(torch.cuda.get_rng_state(net.device))
        state = {
            "seeds": self.seeds,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "scheduler": net.scheduler_.state_dict(),
            "history": [{**row, "batches": []} for row in net.history],
            "best": None if net.best_ is None else vars(net.best_),
            "generators": generators,
        }
        try:
            with written_whole(self.path) as partial:
                torch.save(state, partial)
        except OSError as error:
            warnings.warn(
                f"the checkpoint {error}; the training goes on, and can be resumed from before.",
                UserWarning,
                stacklevel=2,
            )
        self.written = time.monotonic()
