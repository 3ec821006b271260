"""One row over independent points, in blocks of any size and by threads."""

import numpy as np
import pytest

from skphys.conditioning import Dense, Diagonal, Gaussian, _single_row, condition


@pytest.mark.parametrize("shape", [(7,), (5, 7), (40, 1, 7), (3, 4, 7), (2, 3, 4, 7), (0, 2, 7)])
@pytest.mark.parametrize("block", [1, 3, 7, 20, 70, 1000])
@pytest.mark.parametrize("parallel", [1, 1 << 30])
def test_blocks_do_not_matter(shape, block, parallel, monkeypatch):
    for name, value in {"BLOCK": block, "CACHED": 0, "PARALLEL": parallel}.items():
        monkeypatch.setattr(_single_row, name, value)
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=shape), rng.uniform(0.5, 2.0, shape)
    row, total = rng.uniform(size=(1, 7)), rng.normal(size=(*shape[:-1], 1))
    found = condition(Gaussian(mean, Diagonal(variance)), row, total, 0.1)
    same = condition(Gaussian(mean, Dense(variance[..., None] * np.eye(7))), row, total, 0.1)
    np.testing.assert_allclose(found.mean, same.mean, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.std(), same.std(), rtol=1e-12)


@pytest.mark.parametrize("leading", [(500_000, 1), (250_000, 2), (2, 250_000, 1), (100, 100, 50)])
def test_many_small_fields_take_few_blocks(leading):
    blocks = []
    found = _single_row._sum_blocks((*leading, 5), lambda at, columns: blocks.append(at) or 1.0)
    assert found.shape == leading and (found == 1.0).all()
    assert len(blocks) <= 100 + 2 * np.prod(leading) * 5 / _single_row.BLOCK
