"""Rows of X as functions, and the targets that a training step draws of them."""

import numpy as np
import pytest
import torch
from process_cases import GRID, TIMES, waves

from skphys.neural._process._batches import FunctionBatches, as_functions, draw_targets
from skphys.neural._process._context_layout import ContextRows, read_layout

CPU = torch.device("cpu")


def shuffled_waves():
    X, y = waves()
    order = np.random.default_rng(1).permutation(len(X))
    return X[order].astype(np.float32), y[order].astype(np.float32)


def test_rows_are_taken_apart_and_same_contexts_are_one_function():
    X, _ = shuffled_waves()
    layout = read_layout(13, 1, GRID.points)
    rows = layout.split(X)
    assert (layout.n_context, layout.n_coordinates, layout.n_features) == (4, 2, 13)
    assert rows.contexts.shape == (6, 4, 3)
    np.testing.assert_array_equal(rows.contexts[rows.function].reshape(len(X), -1), X[:, :12])
    np.testing.assert_array_equal(rows.queries, X[:, 12:])
    first_seen = [np.flatnonzero(rows.function == f)[0] for f in range(6)]
    assert first_seen == sorted(first_seen)


def test_zero_of_either_sign_is_another_context():
    X = np.zeros((2, 5), dtype=np.float32)
    X[1, 0] = -0.0
    assert len(read_layout(5, 1, GRID.points[:, :0]).split(X).contexts) == 2  # compared bitwise


def test_all_columns_may_be_queries():
    layout = read_layout(13, "all", GRID.points)
    rows = layout.split(np.ones((5, 13), dtype=np.float32))
    assert rows.contexts.shape == (1, 0, 15) and rows.queries.shape == (5, 13)
    assert not rows.function.any()


@pytest.mark.parametrize(("n_features", "n_query"), [(12, 1), (2, 4), (13, 2)])
def test_columns_that_make_no_contexts_are_an_error(n_features, n_query):
    with pytest.raises(ValueError, match=f"X has {n_features} column.*not a multiple.*n_query"):
        read_layout(n_features, n_query, GRID.points)


@pytest.mark.parametrize("n_targets", [1, 5, 15, 21, 40])
def test_targets_are_points_of_the_right_function(n_targets):
    X, y = shuffled_waves()
    layout = read_layout(13, 1, GRID.points)
    rows = layout.split(X)
    functions = as_functions(rows, y, layout, CPU)
    batches = FunctionBatches(functions, 4, n_targets, hidden_size=3, seed=0)
    seen = 0
    for batch in batches.epoch(0):
        assert batch.noise.shape == (3, 3) and len(batch.context) == 3
        for context, targets in zip(batch.context, batch.targets, strict=True):
            t, x, u = context.numpy().T
            targets = targets.numpy()
            phase = phase_of(t, x, u, targets)
            np.testing.assert_allclose(
                np.sin(targets[:, 1] - targets[:, 0] + phase), targets[:, 2], atol=1e-4
            )
            assert np.isin(targets[:, 0], TIMES.astype(np.float32)).all()
            assert len(np.unique(targets, axis=0)) == len(targets) == min(n_targets, 21)
            seen += 1
    assert seen == len(functions) == 6


def phase_of(t, x, u, targets):
    """The phase by least squares from sin(x - t + phase) = u at the contexts."""
    both = np.stack([np.sin(x - t), np.cos(x - t)], axis=1).astype(float)
    cosine, sine = np.linalg.lstsq(both, u.astype(float), rcond=None)[0]
    return np.arctan2(sine, cosine)


def test_functions_with_few_points_repeat_them_only_when_all_have_come():
    drawn = draw_targets(torch.tensor([3, 50]), 8, torch.Generator().manual_seed(0))
    assert sorted(drawn[0].tolist()) == sorted([0, 1, 2] * 2 + drawn[0].tolist()[6:])
    assert len(set(drawn[0].tolist())) == 3 and drawn[0].max() <= 2
    assert len(set(drawn[1].tolist())) == 8 and drawn[1].max() < 50


def test_many_points_are_drawn_evenly():
    drawn = draw_targets(torch.full((200,), 1000), 10, torch.Generator().manual_seed(0))
    counts = np.histogram(drawn.numpy(), bins=10, range=(0, 1000))[0]
    assert drawn.max() < 1000 and np.all(np.abs(counts - 200) < 5 * np.sqrt(200))


def test_epochs_depend_on_seed_and_number_alone():
    X, y = shuffled_waves()
    layout = read_layout(13, 1, GRID.points)
    functions = as_functions(layout.split(X), y, layout, CPU)

    def epoch(seed, number):
        batches = FunctionBatches(functions, 4, 5, 3, seed)
        return torch.cat([batch.targets for batch in batches.epoch(number)])

    assert torch.equal(epoch(0, 1), epoch(0, 1))
    assert not torch.equal(epoch(0, 1), epoch(0, 2))
    assert not torch.equal(epoch(0, 1), epoch(1, 1))


def test_functions_may_have_different_numbers_of_rows():
    contexts = np.array([[[5.0]], [[6.0]]], dtype=np.float32)
    queries = np.arange(4, dtype=np.float32)[:, None]
    rows = ContextRows(contexts, queries, np.array([1, 0, 1, 1]))
    layout = read_layout(3, 1, GRID.points[:2, :0])
    fields = np.array([[10.0, 11.0], [0.0, 1.0], [20.0, 21.0], [30.0, 31.0]], dtype=np.float32)
    functions = as_functions(rows, fields, layout, CPU)
    at = torch.arange(6)[None]
    values = functions.targets(torch.tensor([1]), at)[0]
    assert values[:, 1].tolist() == [10.0, 11.0, 20.0, 21.0, 30.0, 31.0]
    assert values[:, 0].tolist() == [0.0, 0.0, 2.0, 2.0, 3.0, 3.0]
    assert functions.targets(torch.tensor([0]), at[:, :2])[0].tolist() == [[1.0, 0.0], [1.0, 1.0]]
