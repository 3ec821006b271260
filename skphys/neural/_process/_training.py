"""The skorch net that trains a neural process."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor

from skphys.neural._process._batches import (
    FunctionBatch,
    FunctionBatches,
    Functions,
    FunctionSplit,
)
from skphys.neural._process._losses import ProcessLoss, penalised_loss, process_loss
from skphys.neural._progress import Progress
from skphys.neural._recipes import make_scheduler


class ProcessTrainer(NeuralNet):
    """A net that sees functions in batches, at targets of its own choice.

    Parameters
    ----------
    module : type
        A net like `NeuralProcess`.
    seed : int
        Of batches; the weights come from torch's generator.
    n_targets : int
        Number of targets of each function in a step.
    equation : DifferentialEquation or None
        What the residual is penalised of, in training.
    equation_weight : float
        Of the penalty.
    schedule : str
        Learning-rate schedule.
    patience : int
        Stop after so many epochs without a better validation loss, if there is one.
    progress : int
        As `verbose` of `AttentiveNeuralProcessRegressor`.
    **kwargs : dict
        Of skorch.NeuralNet.
    """

    module_: Any
    best_epoch_: int
    best_loss_: float

    def __init__(
        self,
        module: Any,
        *,
        criterion: Any = ProcessLoss,
        seed: int = 0,
        n_targets: int = 100,
        equation: Any = None,
        equation_weight: float = 1.0,
        schedule: str = "constant",
        patience: int = 50,
        progress: int = 0,
        **kwargs: Any,
    ) -> None:
        defaults = {
            "optimizer": torch.optim.Adam,
            "train_split": None,
            "callbacks": "disable",
            "verbose": 0,
        }
        super().__init__(module, criterion, **{**defaults, **kwargs})
        self.seed = seed
        self.n_targets = n_targets
        self.equation = equation
        self.equation_weight = equation_weight
        self.schedule = schedule
        self.patience = patience
        self.progress = progress

    def fit_loop(
        self, X: FunctionSplit, y: Any = None, epochs: int | None = None, **_: Any
    ) -> ProcessTrainer:
        """Train until the last epoch, or until nothing gets better."""
        self.finished_ = False
        train = self._batches(X.train)
        valid = None if X.valid is None else self._batches(X.valid)
        self.scheduler_ = make_scheduler(
            self.schedule, self.optimizer_, self.lr, self.max_epochs, train.n_batches
        )
        with Progress(self.progress, self.max_epochs, 0) as progress:
            for epoch in range(self.max_epochs):
                self._run_epoch(epoch, train, valid)
                progress.show(self.history[-1])
                if valid is not None and epoch - self.best_epoch_ >= self.patience:
                    break
        self.finished_ = True
        return self

    def _batches(self, functions: Functions) -> FunctionBatches:
        sizes = self.batch_size, self.n_targets, self.module__hidden_size
        return FunctionBatches(functions, *sizes, self.seed)

    def _run_epoch(self, epoch: int, train: FunctionBatches, valid: FunctionBatches | None) -> None:
        start = time.perf_counter()
        self.notify("on_epoch_begin")
        self.history.record("lr", self.optimizer_.param_groups[0]["lr"])
        self.run_single_epoch(train.epoch(epoch), True, "train", self.train_step)
        if valid is not None:
            # The same targets and noise in all epochs.
            self.run_single_epoch(valid.epoch(0), False, "valid", self.validation_step)
            self._keep_best(epoch)
        self.history.record("seconds", time.perf_counter() - start)
        self.notify("on_epoch_end")

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Go through the batches; record the mean loss of a function."""
        self._set_training(training)
        total, count = torch.zeros((), device=self.device), 0
        for batch in iterator:
            size = len(batch.context)
            total += size * step_fn(batch)["loss"]
            count += size
        loss = float(total) / count
        self.history.record(f"{prefix}_loss", loss)
        if not abs(loss) < float("inf"):
            raise ValueError(
                f"training diverged in epoch {len(self.history)}: the loss is no longer finite. "
                f"Lower lr={self.lr}, or look for outliers in X and y."
            )

    def _keep_best(self, epoch: int) -> None:
        if epoch == 0 or self.history[-1, "valid_loss"] < self.best_loss_:
            self.best_loss_, self.best_epoch_ = self.history[-1, "valid_loss"], epoch
            self.best_state_ = copy.deepcopy(self.module_.state_dict())

    def train_step(self, batch: FunctionBatch, **_: Any) -> dict[str, Any]:
        """Take one step of the optimiser and of the schedule."""
        self.optimizer_.zero_grad(set_to_none=True)
        loss = self._loss(batch, self.equation)
        loss.backward()
        self.optimizer_.step()
        self.scheduler_.step()
        return {"loss": loss.detach()}

    @torch.no_grad()
    def validation_step(self, batch: FunctionBatch, **_: Any) -> dict[str, Any]:
        """Return the loss of a batch, without the penalty."""
        return {"loss": self._loss(batch)}

    def _loss(self, batch: FunctionBatch, equation: Any = None) -> Tensor:
        if equation is None:
            return process_loss(self.module_, self.criterion_, batch)
        weight = self.equation_weight
        return penalised_loss(self.module_, self.criterion_, equation, weight, batch)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Take the best weights, and forget what only training needs."""
        if hasattr(self, "best_state_"):
            self.module_.load_state_dict(self.best_state_)
            del self.best_state_
        self._set_training(False)
        if hasattr(self, "scheduler_"):
            del self.scheduler_
        self._initialize_optimizer()
