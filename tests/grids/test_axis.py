"""Axes: quadrature against SciPy and closed forms, validation, value semantics."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson, trapezoid

from skphys.grids import Axis

SIZES = [2, 3, 4, 5, 6, 7, 8, 9, 50, 101]
steps = st.lists(st.floats(0.01, 10.0), min_size=1, max_size=30)


def uneven(n, seed=0):
    return np.cumsum(np.random.default_rng(seed).uniform(0.1, 2.0, n)) - 3.0


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("rule", "reference"), [("simpson", simpson), ("trapezoid", trapezoid)])
def test_rules_equal_scipy_on_uneven_nodes(n, rule, reference):
    x = uneven(n)
    y = np.random.default_rng(n).normal(size=n)
    expected = reference(y, x=x)
    assert Axis(x).weights(rule) @ y == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("n", SIZES)
def test_simpson_weights_are_scipys_response_to_unit_vectors(n):
    x = uneven(n, seed=n)
    expected = simpson(np.eye(n), x=x, axis=0)
    np.testing.assert_allclose(Axis(x).weights("simpson"), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("n", "degree"), [(3, 2), (8, 2), (9, 2), (64, 2)])
def test_simpson_integrates_parabolas_exactly_on_uneven_nodes(n, degree):
    x = uneven(n)
    for power in range(degree + 1):
        exact = (x[-1] ** (power + 1) - x[0] ** (power + 1)) / (power + 1)
        assert Axis(x).weights("simpson") @ x**power == pytest.approx(exact, rel=1e-12)


def test_simpson_integrates_cubics_on_even_spacing_with_an_odd_number_of_nodes():
    x = np.linspace(-1.0, 2.0, 9)
    assert Axis(x).weights("simpson") @ x**3 == pytest.approx((2.0**4 - 1.0) / 4, rel=1e-13)


def test_simpson_memory_is_linear():
    assert Axis(np.arange(1_000_001.0)).weights("simpson").sum() == pytest.approx(1e6)


@settings(deadline=None)
@given(steps, st.sampled_from(["trapezoid", "simpson"]))
def test_node_weights_sum_to_the_length(h, rule):
    axis = Axis(np.cumsum([0.0, *h]))
    assert axis.weights(rule).sum() == pytest.approx(sum(h), rel=1e-9)


@settings(deadline=None)
@given(steps)
def test_cell_weights_are_the_widths(h):
    axis = Axis.cells(np.cumsum([0.0, *h]))
    assert axis.location == "cells"
    np.testing.assert_allclose(axis.weights(), h, rtol=1e-9)
    np.testing.assert_array_equal(axis.weights("midpoint"), axis.weights())


@settings(deadline=None)
@given(steps, st.floats(0.01, 5.0))
def test_periodic_weights_sum_to_the_period(h, gap):
    points = np.cumsum([0.0, *h])
    axis = Axis(points, period=points[-1] + gap)
    assert axis.weights().sum() == pytest.approx(axis.period, rel=1e-9)


def test_periodic_trapezoid_is_the_closed_trapezoid_with_the_end_repeated():
    x = uneven(7)
    period = x[-1] - x[0] + 0.7
    y = np.cos(x)
    expected = trapezoid(np.append(y, y[0]), x=np.append(x, x[0] + period))
    assert Axis(x, period=period).weights() @ y == pytest.approx(expected, rel=1e-13)


def test_periodic_trapezoid_is_exact_for_resolved_waves():
    axis = Axis.periodic(0.0, 2 * np.pi, 16)
    assert axis.size == 16 and axis.points[-1] < 2 * np.pi
    assert axis.weights() @ (1.0 + np.sin(3 * axis.points)) == pytest.approx(2 * np.pi)


def test_one_periodic_node_weighs_the_period():
    np.testing.assert_allclose(Axis([0.3], period=2.0).weights(), [2.0])


def test_points_of_cells_may_lie_off_centre():
    axis = Axis([0.0, 2.5], edges=[0, 1, 3])
    np.testing.assert_array_equal(axis.points, [0.0, 2.5])
    np.testing.assert_array_equal(axis.weights(), [1.0, 2.0])


def test_periodic_cells_weigh_their_widths():
    axis = Axis([0.5, 2.0], edges=[0, 1, 3], period=3.0)
    np.testing.assert_array_equal(axis.weights(), [1.0, 2.0])


@pytest.mark.parametrize(
    ("points", "options", "error", "message"),
    [
        ([0, 0.5, 0.5, 1], {}, ValueError, r"0\.5 is duplicated \(positions 1 and 2\)"),
        ([0, 2, 1], {}, ValueError, r"1\.0 follows 2\.0 at position 2; sort"),
        ([0, np.nan, 1], {}, ValueError, "points must be finite, got nan at position 1"),
        ([[0, 1], [2, 3]], {}, ValueError, r"points must be a non-empty 1-D array.*\(2, 2\)"),
        ([], {}, ValueError, "non-empty"),
        (0.5, {}, ValueError, "1-D"),
        ([[0, 1], [2]], {}, ValueError, "ragged"),
        (["a", "b"], {}, TypeError, "points must hold real numbers"),
        ([1j, 2j], {}, TypeError, "real numbers"),
        (np.array(["2020-01-01"], "datetime64[D]"), {}, TypeError, "seconds"),
        (np.array([object()]), {}, TypeError, "real numbers"),
        ([0.5, 1.5], {"edges": [0, 1]}, ValueError, "2 points need 3 edges, got 2"),
        ([0.5, 2.5], {"edges": [0, 1, 2]}, ValueError, r"point 1 is 2\.5, its cell is \[1, 2\]"),
        ([0, 1], {"period": 1.0}, ValueError, "too short.*leave out the repeated end"),
        ([0, 1], {"period": -1.0}, ValueError, "period must be a positive number, got -1"),
        ([0, 1], {"period": [2, 3]}, ValueError, "period must be a positive number"),
        ([0.5, 1.5], {"edges": [0, 1, 2], "period": 3.0}, ValueError, "length of the cells, 2"),
    ],
)
def test_bad_axes_are_named(points, options, error, message):
    with pytest.raises(error, match=message):
        Axis(points, **options)


@pytest.mark.parametrize(
    ("axis", "rule", "message"),
    [
        (Axis([0, 1]), "gauss", r"unknown quadrature rule 'gauss'; use one of \['trapezoid'"),
        (Axis([0, 1]), 3, "unknown quadrature rule 3"),
        (Axis([0, 1]), "midpoint", "does not fit values on nodes"),
        (Axis.cells([0, 1]), "trapezoid", "does not fit cell averages; use 'midpoint'"),
        (Axis.cells([0, 1]), "simpson", "does not fit cell averages"),
        (Axis.periodic(0, 1, 8), "simpson", "does not fit a periodic axis; use 'trapezoid'"),
        (Axis([0.5]), None, "trapezoid rule needs at least 2 points, got 1; leave this axis out"),
        (Axis([0.5]), "simpson", "simpson rule needs at least 2 points"),
    ],
)
def test_rules_that_do_not_fit_are_refused(axis, rule, message):
    with pytest.raises(ValueError, match=message):
        axis.weights(rule)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Axis.cells([1.0]), "edges must hold at least 2 values"),
        (lambda: Axis.cells([0, 2, 1]), "edges must be strictly increasing"),
        (lambda: Axis.cells([2, 1, 0]), r"it decreases; reverse it .*XarrayFields does by itself"),
        (lambda: Axis.periodic(1, 0, 4), r"\[start, stop\] must be strictly increasing"),
        (lambda: Axis.periodic(0, 1, 0), "n must be at least 1"),
    ],
)
def test_bad_constructors_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


AXES = [
    Axis([0.0, 0.5, 2.0]),
    Axis.cells([0.0, 0.5, 2.0]),
    Axis.periodic(0.0, 1.0, 5),
    Axis([0.5, 2.0], edges=[0, 1, 3], period=3.0),
]


@pytest.mark.parametrize("axis", AXES, ids=repr)
def test_axes_compare_by_value_and_stay_read_only_through_copies(axis):
    for twin in (pickle.loads(pickle.dumps(axis)), copy.deepcopy(axis), copy.copy(axis)):
        assert twin == axis and hash(twin) == hash(axis)
        for array in (twin.points, twin.edges):
            assert array is None or not array.flags.writeable
    assert axis != "axis"
    assert [axis == other for other in AXES].count(True) == 1


def test_axes_do_not_alias_the_callers_array():
    x = np.array([0.0, 1.0])
    axis = Axis(x)
    x[0] = -5.0
    assert axis.points[0] == 0.0


def test_repr_is_short():
    assert [repr(axis) for axis in AXES] == [
        "Axis(3 nodes in [0, 2])",
        "Axis(2 cells in [0, 2])",
        "Axis(5 periodic nodes in [0, 1))",
        "Axis(2 periodic cells in [0, 3])",
    ]
