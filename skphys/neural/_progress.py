"""What a training shows while it runs."""

from __future__ import annotations

from typing import Any


class Progress:
    """A progress bar (`verbose` 1), or a line for each epoch (2 and more).

    Parameters
    ----------
    verbose : int
        How much.
    n_epochs, done : int
        How many epochs there are, and were before.
    """

    def __init__(self, verbose: int, n_epochs: int, done: int) -> None:
        self.verbose, self.n_epochs = verbose, n_epochs
        self.bar: Any = None
        if verbose == 1:
            from tqdm import tqdm  # skorch needs it, too

            self.bar = tqdm(total=n_epochs, initial=done, unit="epoch")

    def show(self, row: dict[str, Any]) -> None:
        """Show an epoch's row of the history."""
        text = ", ".join(
            f"{name} {_mean(row[key]):.3e}"
            for name, key in (("train", "train_loss"), ("valid", "valid_loss"))
            if key in row
        )
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update()
        elif self.verbose > 1:
            print(f"epoch {row['epoch']}/{self.n_epochs}: {text}, {row['seconds']:.2f} s")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _mean(losses: float | list[float]) -> float:
    return losses if isinstance(losses, float) else sum(losses) / len(losses)
