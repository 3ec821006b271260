"""Weights that a neural process takes over, or gives away."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

from sklearn.utils import check_scalar

from skphys.grids import Grid
from skphys.neural._fitted_net import FittedNet


class ProcessWeights(FittedNet):
    """The ways to take over weights from elsewhere, and to keep them in files."""

    grid: Grid | None
    n_query: int | str
    _validate_params: Any
    _check_heads: Any

    def load_state_dict(
        self, state: Mapping[str, Any], *, n_context: int, prefix: str = ""
    ) -> Self:
        """Take over weights that were trained elsewhere with this architecture.

        Parameters
        ----------
        state : mapping of str to tensor
            As ``torch.load`` gives it (for a checkpoint of a training, its entry "state_dict").
            The names may be those of ``net_.module_`` or the usual ones, see Notes.
        n_context : int
            Number of contexts in a row of X.
        prefix : str, default=""
            What all names of the net begin with, such as "anp."; others are left out.

        Returns
        -------
        self : object
            Fitted, on the CPU. Coordinates and values are as they come, not standardised, unless
            the state says how.

        Raises
        ------
        ValueError
            If there is no `grid`, or the weights are those of another architecture. The estimator
            is then left as it was.

        Notes
        -----
        The usual names of the architecture's parts, and what they are called here:

        =====================  =============================================================
        part                   usual name: name here
        =====================  =============================================================
        latent_encoder         input_projection: points, self_attentions: self_attention,
                               penultimate_layer: hidden, mu: mean, log_sigma: log_variance
        deterministic_encoder  input_projection: points, context_projection: context,
                               target_projection: target, self_attentions: self_attention,
                               cross_attentions: cross_attention
        decoder                target_projection: target, linears: layers,
                               final_projection: output
        each attention layer   encoder_key: key, encoder_value: value, encoder_query: query,
                               final_linear: output, layer_norm: norm
        =====================  =============================================================

        Linear layers are usually wrapped, here they are not: latent_encoder.mu.linear_layer.weight
        is latent_encoder.mean.weight. What is called log_sigma is a log-variance.
        """
        self._validate_params()
        if self.grid is None:
            raise ValueError("load_state_dict needs grid, which says where the fields live.")
        if self.n_query == "all":
            raise ValueError("load_state_dict needs n_query as a number; got 'all'.")
        self._check_heads()
        check_scalar(n_context, "n_context", Integral, min_val=0)
        n_coordinates = int(self.n_query) + self.grid.n_axes
        n_features = int(n_context) * (n_coordinates + 1) + int(self.n_query)
        from skphys.neural._process._fitting import draw_seeds, empty_process
        from skphys.neural._process._weights import take_over

        loaded: Any = copy.copy(self)  # self stays what it is if the weights do not fit
        loaded.grid_, loaded._target_ndim = self.grid, 2
        loaded._set_layout(n_features)
        loaded.net_ = empty_process(loaded)
        take_over(loaded.net_.module_, state, prefix)
        loaded.n_features_in_, loaded.n_functions_ = n_features, 0
        loaded._draw_seed = draw_seeds(self)[-1]
        loaded._read_history()
        return self._become(loaded)

    def _become(self, loaded: Self) -> Self:
        """Take over the state of a copy; columns of X have no names then."""
        vars(self).update(vars(loaded))
        vars(self).pop("feature_names_in_", None)
        return self

    def _header(self) -> dict[str, Any]:
        from skphys.neural._process._params_file import process_header

        return process_header(self)

    def load_params(self, path: Any) -> Self:
        """Take over the weights of an estimator with the same parameters.

        Parameters
        ----------
        path : str or path-like
            A file by `save_params`.

        Returns
        -------
        self : object
            Fitted, on the CPU; predicts what the saved one did.

        Raises
        ------
        ValueError
            If the file is another net's.
        ImportError
            Without the package safetensors, of the extra "io".
        """
        from skphys.neural._process._params_file import load_process

        loaded = copy.copy(self)
        load_process(loaded, path)
        return self._become(loaded)
