"""The skorch net that trains all members of a field net together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from skphys.neural._batches import MemberBatches, Split
from skphys.neural._best import BestWeights
from skphys.neural._checkpoint import Checkpoint
from skphys.neural._losses import FieldLoss
from skphys.neural._progress import Progress
from skphys.neural._recipes import make_scheduler

# Floats of the widest layer that a batch of predictions may take.
MAX_VALUES = 1 << 24


class FieldTrainer(NeuralNet):
    """A net whose module, losses and batches have a leading axis of members.

    Losses are summed over members, and Adam treats every weight alone, so no member learns from
    another. Everything stays on the device; the losses are read once an epoch.

    Parameters
    ----------
    module : type
        A net like `FieldNet`, every parameter of which has a first axis of members.
    seeds : sequence of int
        One for each member, for its initial weights and its batches.
    split_seed : int
        What the samples held out were drawn with.
    schedule : str
        Learning-rate schedule.
    mixed_precision : bool
        Whether the net computes in bfloat16 where torch holds that to be safe.
    patience : int or None
        Stop a member after so many epochs without a better validation loss. None: no validation.
    checkpoint : Checkpoint or None
        Where the state is kept.
    progress : int
        As `verbose` of `FNORegressor`.
    **kwargs : dict
        Of skorch.NeuralNet.
    """

    module_: Any

    def __init__(
        self,
        module: Any,
        *,
        criterion: Any = FieldLoss,
        seeds: Sequence[int] = (0,),
        split_seed: int = 0,
        schedule: str = "constant",
        mixed_precision: bool = False,
        patience: int | None = None,
        checkpoint: Checkpoint | None = None,
        progress: int = 0,
        **kwargs: Any,
    ) -> None:
        defaults = {
            "optimizer": torch.optim.Adam,
            "iterator_train": MemberBatches,
            "iterator_valid": MemberBatches,
            "train_split": None,
            "callbacks": "disable",
            "verbose": 0,
        }
        super().__init__(module, criterion, **{**defaults, **kwargs})
        self.seeds = seeds
        self.split_seed = split_seed
        self.schedule = schedule
        self.mixed_precision = mixed_precision
        self.patience = patience
        self.checkpoint = checkpoint
        self.progress = progress

    def initialize_module(self) -> FieldTrainer:
        """Build the members, each from its own seed, on the CPU."""
        self.module_ = build_members(self.module, self.get_params_for("module"), self.seeds)
        return self

    def fit_loop(self, X: Split, y: Any = None, epochs: int | None = None, **_: Any) -> Any:
        """Train until the last epoch, or until the last member has stopped."""
        self.finished_ = False
        train = self._batches(X.train, shuffle=True)
        valid = None if X.valid is None else self._batches(X.valid, shuffle=False)
        self.scheduler_ = make_scheduler(
            self.schedule, self.optimizer_, self.lr, self.max_epochs, train.n_batches
        )
        self.best_ = None if valid is None else BestWeights(self.module_, len(self.seeds))
        if self.checkpoint is not None:
            self.checkpoint.restore(self)
        with Progress(self.progress, self.max_epochs, len(self.history)) as progress:
            for epoch in range(len(self.history), self.max_epochs):
                if self.best_ is not None and self.best_.all_stopped:
                    break
                self._run_epoch(epoch, train, valid)
                progress.show(self.history[-1])
        if self.checkpoint is not None:
            self.checkpoint.save(self)
        self.finished_ = True
        return self

    def _batches(self, fields: Any, shuffle: bool) -> MemberBatches:
        return MemberBatches(fields, self.batch_size, self.seeds, shuffle)

    def _run_epoch(self, epoch: int, train: MemberBatches, valid: MemberBatches | None) -> None:
        start = time.perf_counter()
        self.notify("on_epoch_begin")
        self.history.record("lr", self.optimizer_.param_groups[0]["lr"])
        self.run_single_epoch(train.epoch(epoch), True, "train", self.train_step)
        if valid is not None and self.best_ is not None:
            self.run_single_epoch(valid.epoch(epoch), False, "valid", self.validation_step)
            losses = torch.tensor(self.history[-1, "valid_loss"])
            self.best_.update(self.module_, losses, self.patience)
        self.history.record("seconds", time.perf_counter() - start)
        self.notify("on_epoch_end")
        if self.checkpoint is not None:
            self.checkpoint.save_if_due(self)

    def run_single_epoch(
        self, iterator: Iterable[Any], training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Go through the batches; record the mean loss of each member."""
        self._set_training(training)
        total, count = torch.zeros(len(self.seeds), device=self.device), 0
        for batch in iterator:
            size = batch[0].shape[1]
            total += size * step_fn(batch)["loss"]
            count += size
        losses = (total / count).tolist()
        self.history.record(f"{prefix}_loss", losses)
        self._check_finite(losses)

    def _check_finite(self, losses: list[float]) -> None:
        bad = [k for k, loss in enumerate(losses) if not abs(loss) < float("inf")]
        if bad:
            raise ValueError(
                f"training diverged in epoch {len(self.history)}: the loss of member(s) {bad} is "
                f"no longer finite. Lower lr={self.lr}, or look for outliers in X and y."
            )

    def train_step(self, batch: Any, **_: Any) -> dict[str, Any]:
        """Take one step of the optimiser and of the schedule."""
        self.optimizer_.zero_grad(set_to_none=True)
        losses = self._losses(batch)
        losses.sum().backward()
        self.optimizer_.step()
        self.scheduler_.step()
        return {"loss": losses.detach()}

    @torch.no_grad()
    def validation_step(self, batch: Any, **_: Any) -> dict[str, Any]:
        """Return the losses of a batch."""
        return {"loss": self._losses(batch)}

    def _losses(self, batch: Any) -> Tensor:
        x, y, values, norms, *law = batch
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.mixed_precision):
            output = apply(self.module_, x, values)
        given = [part for part in law if part is not None]
        return self.criterion_(output, y, norms, *given)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Take the best weights, and forget what only training needs."""
        if self.best_ is not None:
            self.best_.restore(self.module_)
        self._set_training(False)
        del self.best_, self.scheduler_
        self._initialize_optimizer()


def apply(module: nn.Module, x: Tensor, values: Tensor | None) -> Any:
    """Call a net that has boundary values, or none."""
    return module(x) if values is None else module(x, values)


def build_members(module: Any, kwargs: dict[str, Any], seeds: Sequence[int]) -> nn.Module:
    """Build a net whose members start as they would alone.

    torch's generator of the CPU is left reseeded.
    """
    alone = [_seeded(module, kwargs, seed) for seed in seeds]
    if len(alone) == 1:
        return alone[0]
    net = module(**kwargs)
    parts = [dict(one.named_parameters()) for one in alone]
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.cat([part[name] for part in parts]))
    return net


def _seeded(module: Any, kwargs: dict[str, Any], seed: int) -> nn.Module:
    torch.default_generator.manual_seed(int(seed))
    return module(**{**kwargs, "n_members": 1})


@torch.no_grad()
def predict_batches(
    module: nn.Module, inputs: tuple[Tensor, Tensor | None], n_members: int, width: int
) -> tuple[Tensor, Tensor | None]:
    """Predict in batches of bounded memory.

    Parameters
    ----------
    module : Module
        The net.
    inputs : tuple of Tensor
        Fields (n, C, *shape), and boundary values (n, V) or None, on any device.
    n_members, width : int
        Size of its largest layer, besides the grid.

    Returns
    -------
    means, stds : Tensor of shape (E, n, O, *shape)
        On the CPU; no `stds` if the net states none.
    """
    device = next(module.parameters()).device
    given = [part for part in inputs if part is not None]
    size = max(1, MAX_VALUES // (n_members * width * given[0][0, 0].numel()))
    outputs = []
    for start in range(0, len(given[0]), size):
        batch = [part[start : start + size].to(device) for part in given]
        output = module(*(part.expand(n_members, *part.shape) for part in batch))
        pair = output if isinstance(output, tuple) else (output,)
        outputs.append([part.cpu() for part in pair])
    means, *stds = (torch.cat(parts, dim=1) for parts in zip(*outputs, strict=True))
    return means, stds[0] if stds else None
