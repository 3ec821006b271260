"""The few array operations that the array API standard does not spell for us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array, is_torch_array

Array = Any
Normal = Callable[[tuple[int, ...]], Array]


def transpose(matrix: Array) -> Array:
    """Swap the last two axes."""
    return array_namespace(matrix).matrix_transpose(matrix)


def matvec(matrix: Array, vector: Array) -> Array:
    """Multiply batched matrices (..., a, b) with batched vectors (..., b)."""
    return (matrix @ vector[..., None])[..., 0]


def eps(array: Array) -> float:
    """Return the rounding unit of the array's dtype."""
    return float(array_namespace(array).finfo(array.dtype).eps)


def like(value: Any, reference: Array) -> Array:
    """Convert a number or an array to the reference's namespace, dtype and device."""
    if is_torch_array(value):
        return value.to(dtype=reference.dtype, device=reference.device)
    xp = array_namespace(reference)
    return xp.asarray(value, dtype=reference.dtype, device=device(reference))


def floating(array: Array) -> Array:
    """Return an array of floating numbers as it is, integers as float64."""
    xp = array_namespace(array)
    is_floating = xp.isdtype(array.dtype, "real floating")
    return array if is_floating else xp.astype(array, xp.float64)


def to_numpy(array: Array) -> np.ndarray:
    """Copy an array to NumPy, out of an autograd graph, where it is not NumPy's already."""
    return np.asarray(array.detach().cpu() if is_torch_array(array) else array)


def cholesky(matrix: Array) -> Array:
    """Return lower Cholesky factors, NaN for matrices that are not positive definite."""
    if is_torch_array(matrix):
        import torch

        lower, info = torch.linalg.cholesky_ex(matrix)
        return torch.where((info > 0)[..., None, None], torch.nan, lower)
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        if matrix.ndim == 2:
            return np.full_like(matrix, np.nan)
        return np.stack([cholesky(one) for one in matrix])


def standard_normal(reference: Array, random_state: Any = None) -> Normal:
    """Return a function that draws standard normals of a given shape, like the reference.

    `random_state` is an int, None, or a generator of the reference's library: NumPy's Generator
    or RandomState, torch's Generator.
    """
    if is_torch_array(reference):
        return _torch_normal(reference, random_state)
    if isinstance(random_state, np.random.RandomState):
        return lambda shape: random_state.standard_normal(shape).astype(reference.dtype)
    rng = np.random.default_rng(random_state)
    return lambda shape: rng.standard_normal(shape, dtype=reference.dtype)


def _torch_normal(reference: Array, random_state: Any) -> Normal:
    import torch

    generator = random_state
    if not isinstance(random_state, torch.Generator):
        generator = torch.Generator(device=reference.device)
        generator.seed() if random_state is None else generator.manual_seed(int(random_state))
    return lambda shape: torch.randn(
        shape, generator=generator, dtype=reference.dtype, device=reference.device
    )


def is_float64_numpy(*arrays: Array) -> bool:
    """Say whether all arrays are NumPy float64, which the fused kernels need."""
    return all(is_numpy_array(a) and a.dtype == np.float64 for a in arrays)
