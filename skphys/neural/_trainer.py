"""The skorch net that trains every net of this package, alone or all members of one together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from skphys.neural._batches import Split
from skphys.neural._best import BestWeights
from skphys.neural._checkpoint import Checkpoint
from skphys.neural._progress import Progress
from skphys.neural._recipes import make_scheduler


class Trainer(NeuralNet):
    """A net that learns from ready-made batches, with a schedule, early stopping and checkpoints.

    A loss may be one number, or one a member of a module whose parameters and batches have a first
    axis of members. Losses are summed over members, and Adam treats every weight alone, so no
    member learns from another. Everything stays on the device; losses are read once an epoch.

    Parameters
    ----------
    module : type
        Of the net.
    criterion : type
        Of what `objective` compares with.
    objective : callable
        ``objective(module, criterion, batch, training)`` returns the loss, a scalar or (E,).
    seeds : sequence of int
        What the initial weights are drawn with; one for each member.
    schedule : str
        Learning-rate schedule.
    patience : int
        Stop, each member, after so many epochs without a better validation loss, if there is one.
    checkpoint : Checkpoint or None
        Where the state is kept.
    progress : int
        As `verbose` of the regressors.
    **kwargs : dict
        Of skorch.NeuralNet.
    """

    module_: Any

    def __init__(
        self,
        module: Any,
        criterion: Any,
        *,
        objective: Callable[..., Tensor],
        seeds: Sequence[int] = (0,),
        schedule: str = "constant",
        patience: int = 50,
        checkpoint: Checkpoint | None = None,
        progress: int = 0,
        **kwargs: Any,
    ) -> None:
        plain = {"train_split": None, "callbacks": "disable", "verbose": 0}
        super().__init__(module, criterion, **{"optimizer": torch.optim.Adam, **plain, **kwargs})
        self.objective = objective
        self.seeds = seeds
        self.schedule = schedule
        self.patience = patience
        self.checkpoint = checkpoint
        self.progress = progress

    def initialize_module(self) -> Trainer:
        """Build the members, each from its own seed, on the CPU."""
        self.module_ = build_members(self.module, self.get_params_for("module"), self.seeds)
        if torch.device(self.device).type == "cuda":  # of dropout
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(self.seeds[0])
        return self

    def fit_loop(self, X: Split, y: Any = None, epochs: int | None = None, **_: Any) -> Trainer:
        """Train until the last epoch, or until nothing gets better any more."""
        self.finished_ = False
        self.scheduler_ = make_scheduler(
            self.schedule, self.optimizer_, self.lr, self.max_epochs, X.train.n_batches
        )
        self.best_ = None if X.valid is None else BestWeights(self.module_)
        if self.checkpoint is not None:
            self.checkpoint.restore(self)
        with Progress(self.progress, self.max_epochs, len(self.history)) as progress:
            for epoch in range(len(self.history), self.max_epochs):
                if self.best_ is not None and self.best_.all_stopped:
                    break
                self._run_epoch(epoch, X)
                progress.show(self.history[-1])
        if self.checkpoint is not None:
            self.checkpoint.save(self)
        self.finished_ = True
        return self

    def _run_epoch(self, epoch: int, data: Split) -> None:
        start = time.perf_counter()
        self.notify("on_epoch_begin")
        self.history.record("lr", self.optimizer_.param_groups[0]["lr"])
        self.run_single_epoch(data.train.epoch(epoch), True, "train", self.train_step)
        if self.best_ is not None:
            # The same batches in all epochs.
            self.run_single_epoch(data.valid.epoch(0), False, "valid", self.validation_step)
            losses = torch.tensor(self.history[-1, "valid_loss"])
            self.best_.update(self.module_, losses, self.patience)
        self.history.record("seconds", time.perf_counter() - start)
        self.notify("on_epoch_end")
        if self.checkpoint is not None:
            self.checkpoint.save_if_due(self)

    def run_single_epoch(
        self, iterator: Iterable[Any], training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Go through the batches; record the mean loss, of each member if there are several."""
        self._set_training(training)
        total, count = torch.zeros((), device=self.device), 0
        for batch in iterator:
            total = total + batch.size * step_fn(batch)["loss"]
            count += batch.size
        losses = total / count
        self.history.record(f"{prefix}_loss", losses.tolist())
        bad = (~losses.isfinite()).nonzero().flatten().tolist()
        if not losses.isfinite().all():
            raise ValueError(
                f"training diverged in epoch {len(self.history)}: the loss "
                f"{f'of member(s) {bad} ' * losses.ndim}is no longer finite. Lower lr={self.lr}, "
                f"or look for outliers in X and y."
            )

    def train_step(self, batch: Any, **_: Any) -> dict[str, Any]:
        """Take one step of the optimiser and of the schedule."""
        self.optimizer_.zero_grad(set_to_none=True)
        losses = self.objective(self.module_, self.criterion_, batch, True)
        losses.sum().backward()
        self.optimizer_.step()
        self.scheduler_.step()
        return {"loss": losses.detach()}

    @torch.no_grad()
    def validation_step(self, batch: Any, **_: Any) -> dict[str, Any]:
        """Return the loss of a batch."""
        return {"loss": self.objective(self.module_, self.criterion_, batch, False)}

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Take the best weights, and forget what only training needs."""
        if self.best_ is not None:
            self.best_.restore(self.module_)
        self._set_training(False)
        del self.best_, self.scheduler_
        self._initialize_optimizer()


def build_members(module: Any, kwargs: dict[str, Any], seeds: Sequence[int]) -> nn.Module:
    """Build a net whose members start as they would alone.

    torch's generator of the CPU is left reseeded.
    """
    if len(seeds) == 1:
        return _seeded(module, kwargs, seeds[0])
    alone = [_seeded(module, {**kwargs, "n_members": 1}, seed) for seed in seeds]
    net = module(**kwargs)
    parts = [dict(one.named_parameters()) for one in alone]
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.cat([part[name] for part in parts]))
    return net


def _seeded(module: Any, kwargs: dict[str, Any], seed: int) -> nn.Module:
    torch.default_generator.manual_seed(int(seed))
    return module(**kwargs)
