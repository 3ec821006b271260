"""Functions known at context points, with scattered targets or whole fields."""

import pickle

import numpy as np
import pytest

from skphys import datasets
from skphys.constraints import Column, ConservationLaw
from skphys.grids import Axis, Grid
from skphys.metrics import conservation_error

PROBLEMS = ["diffusion", "porous_medium", "stefan", "advection", "burgers"]
PLAIN = {"problem": "stefan", "n_samples": 3, "random_state": 0}


class TestPoints:
    def test_is_sampled_as_in_the_paper(self):
        data = datasets.make_context_target("stefan", 20, random_state=0)
        context = data.context.reshape(20, 10, 10, 3)
        t, x, u = np.moveaxis(context, -1, 0)
        assert (t == t[:, :, :1]).all()
        assert (np.floor(t[:, :, 0] / 0.01) == np.arange(10)).all()
        assert (x == x[:, :1, :]).all()
        assert (np.diff(x, axis=2) > 0).all()
        assert np.array_equal(data.data, data.context.reshape(20, 300))
        assert u[3, 4, 5] == data.solution(t[3, 4, 5], x[3, 4, 5], data.parameters[3])
        points = data.target_points
        exact = data.solution(points[..., 0], points[..., 1], data.parameters[:, None])
        assert np.array_equal(data.target, exact)

    def test_targets_can_be_given(self):
        x = np.linspace(-1.0, 1.0, 7)
        points = np.column_stack([np.full(7, 0.5), x])
        data = datasets.make_context_target("burgers", 2, parameter=3.0, target_points=points)
        assert np.array_equal(data.target[1], data.solution(0.5, x))
        assert data.target_points.shape == (2, 7, 2)

    def test_noise_is_on_the_contexts_only(self):
        clean, noisy = (
            datasets.make_context_target("diffusion", 3, noise=s, random_state=0) for s in (0, 0.1)
        )
        assert np.array_equal(clean.target, noisy.target)
        assert np.array_equal(clean.context[..., :2], noisy.context[..., :2])
        assert np.std(noisy.data - clean.data) > 0.01

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"problem": "heat"}, "problem must be one of"),
            ({"context_shape": 10}, "context_shape must be a pair"),
            ({"target_shape": (10, 0)}, "each entry of target_shape"),
            ({"target_points": np.zeros((3, 3))}, "target_points must be an array of shape"),
        ],
    )
    def test_bad_options_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            datasets.make_context_target(**{**PLAIN, **options})

    def test_times_can_be_given(self):
        data = datasets.make_context_target(**PLAIN, target_times=[0.05, 0.02], target_shape=(9, 4))
        assert (data.target_points[..., 0] == np.repeat([0.05, 0.02], 4)).all()
        assert np.unique(data.target_points[..., 1]).size == 3 * 4


class TestFields:
    @pytest.mark.parametrize("problem", PROBLEMS)
    def test_rows_are_contexts_and_times_and_targets_are_exact(self, problem):
        data = datasets.make_context_target(
            problem, 4, layout="fields", target_shape=(3, 99), n_points=31, random_state=1
        )
        assert data.data.shape == (12, 301)
        assert data.grid == Grid(x=np.linspace(*data.domain, 31))
        assert data.functions.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert data.feature_names[297:] == ["t99", "x99", "u99", "t"]
        times = data.data[:, -1].reshape(4, 3)
        assert (np.diff(times, axis=1) > 0).all() and np.unique(times).size == 12
        assert data.times[0] <= times.min() < times.max() <= data.times[1]
        for row, y, number, parameter in zip(
            data.data, data.target, data.functions, data.parameters, strict=True
        ):
            assert np.array_equal(row[:-1], data.context[number].ravel())
            t, x, u = data.context[number].T
            assert np.array_equal(data.solution(t, x, parameter), u)
            assert np.array_equal(data.solution(row[-1], data.grid["x"], parameter), y)

    @pytest.mark.parametrize("problem", PROBLEMS)
    def test_masses_are_the_integrals_of_the_fields(self, problem):
        data = datasets.make_context_target(
            problem, 3, layout="fields", location="cells", n_points=40, random_state=2
        )
        assert data.grid == Grid(x=Axis.cells(np.linspace(*data.domain, 41)))
        np.testing.assert_array_equal(data.masses, data.mass(data.data[:, -1], data.parameters))
        X = np.column_stack([data.data, data.masses])
        law = ConservationLaw(over="x", total=Column(-1))
        error = conservation_error(data.target, law, data.grid, X=X)
        assert np.abs(error).max() < 1e-12  # cell averages: no quadrature error

    def test_the_layout_changes_neither_functions_nor_contexts(self):
        points = datasets.make_context_target(**PLAIN)
        fields = datasets.make_context_target(**PLAIN, layout="fields", target_shape=(2, 1))
        assert np.array_equal(points.context, fields.context)
        assert np.array_equal(points.parameters, fields.parameters[::2])

    def test_noise_is_on_the_contexts_only(self):
        clean, noisy = (
            datasets.make_context_target(**PLAIN, layout="fields", noise=s) for s in (0, 0.1)
        )
        assert np.array_equal(clean.target, noisy.target)
        assert np.array_equal(clean.data[:, -1], noisy.data[:, -1])
        difference = noisy.context - clean.context
        assert (difference[..., :2] == 0).all()
        assert np.std(difference[..., 2]) == pytest.approx(0.1, rel=0.15)
        assert (noisy.data[0, :-1] == noisy.data[9, :-1]).all()  # rows of a function share it

    def test_times_and_parameter_can_be_given(self):
        data = datasets.make_context_target(
            **PLAIN, layout="fields", parameter=0.6, target_times=0.05, n_points=11
        )
        assert (data.data[:, -1] == 0.05).all() and data.target.shape == (3, 11)
        assert np.ptp(data.context[:, :, 0]) > 0.08  # contexts stay at all times
        assert np.array_equal(data.target[0], data.solution(0.05, data.grid["x"]))
        assert (data.masses == data.mass(0.05)).all()

    def test_pickles(self):
        data = datasets.make_context_target(**PLAIN, layout="fields")
        copy = pickle.loads(pickle.dumps(data))
        assert copy.grid == data.grid and np.array_equal(copy.masses, data.masses)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"layout": "table"}, "layout must be one of"),
            ({"location": "faces"}, "location must be one of"),
            ({"n_points": 1}, "n_points must be an integer of at least 2"),
            ({"target_times": [[0.1]]}, "target_times must be a non-negative number or a 1-D"),
            ({"target_times": [-0.1]}, "target_times must be a non-negative"),
            ({"target_times": np.nan}, "target_times must be a non-negative"),
            ({"target_times": []}, "target_times must be a non-negative"),
            ({"target_points": [[0.1, 0.2]]}, 'needs layout="points"'),
            (
                {"target_points": [[0.1, 0.2]], "target_times": 0.1, "layout": "points"},
                "not both",
            ),
        ],
    )
    def test_bad_options_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            datasets.make_context_target(**{**PLAIN, "layout": "fields", **options})
