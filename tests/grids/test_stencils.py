"""One-sided differences against published tables, scipy's interpolants and exact derivatives."""

import numpy as np
import pytest
from boundary_cases import uneven
from scipy.interpolate import BarycentricInterpolator

from skphys.grids import Axis
from skphys.grids._stencils import derivative_weights, end_weights, support

# Fornberg (1988), table 3: one-sided weights on points 0, 1, 2, ...
ONE_SIDED = [
    (1, [-1, 1]),
    (1, [-3 / 2, 2, -1 / 2]),
    (1, [-11 / 6, 3, -3 / 2, 1 / 3]),
    (1, [-25 / 12, 4, -3, 4 / 3, -1 / 4]),
    (2, [1, -2, 1]),
    (2, [2, -5, 4, -1]),
    (2, [35 / 12, -26 / 3, 19 / 2, -14 / 3, 11 / 12]),
    (3, [-5 / 2, 9, -12, 7, -3 / 2]),
]


@pytest.mark.parametrize(("derivative", "weights"), ONE_SIDED)
def test_published_weights(derivative, weights):
    points = np.arange(len(weights))
    np.testing.assert_allclose(derivative_weights(points, 0.0, derivative), weights, rtol=1e-13)


@pytest.mark.parametrize("derivative", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [4, 5, 7])
def test_weights_are_derivatives_of_the_interpolant(n, derivative):
    points = uneven(n, seed=n)
    at = points[1] + 0.3
    expected = [
        BarycentricInterpolator(points, unit).derivative(at, derivative)
        if derivative
        else BarycentricInterpolator(points, unit)(at)
        for unit in np.eye(n)
    ]
    actual = derivative_weights(points, at, derivative)
    np.testing.assert_allclose(actual, np.ravel(expected), rtol=1e-9, atol=1e-11)


def test_interpolation_at_a_point_takes_its_value():
    weights = derivative_weights(uneven(4), uneven(4)[2], 0)
    np.testing.assert_allclose(weights, [0, 0, 1, 0], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_outward_slopes_of_polynomials_are_exact(order, side):
    axis = Axis(uneven(6))
    weights = end_weights(axis, side, 1, order)
    end, sign = (axis.points[0], -1.0) if side == "left" else (axis.points[-1], 1.0)
    for degree in range(order + 1):
        polynomial = np.polynomial.Polynomial.basis(degree)
        slope = sign * polynomial.deriv()(end)
        assert weights @ polynomial(axis.points) == pytest.approx(slope, rel=1e-11, abs=1e-10)
    assert np.count_nonzero(weights) == support(axis, 1, order) == order + 1


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("derivative", [0, 1])
def test_cell_averages_of_polynomials_are_exact_at_the_edge(derivative, order, side):
    axis = Axis.cells(uneven(7))
    weights = end_weights(axis, side, derivative, order)
    end, sign = (axis.edges[0], -1.0) if side == "left" else (axis.edges[-1], 1.0)
    for degree in range(order + derivative):
        polynomial = np.polynomial.Polynomial.basis(degree)
        averages = np.diff(polynomial.integ()(axis.edges)) / np.diff(axis.edges)
        expected = sign * polynomial.deriv()(end) if derivative else polynomial(end)
        assert weights @ averages == pytest.approx(expected, rel=1e-11, abs=1e-10)
    assert np.count_nonzero(weights) == support(axis, derivative, order)


def test_published_weights_on_even_cells():
    """Shu, ICASE report 97-65, table 2.1, the row furthest to the side (r = -1)."""
    axis = Axis.cells(np.arange(6.0))
    np.testing.assert_allclose(end_weights(axis, "left", 0, 2)[:3], [3 / 2, -1 / 2, 0])
    np.testing.assert_allclose(end_weights(axis, "left", 0, 3)[:4], [11 / 6, -7 / 6, 1 / 3, 0])


def test_values_on_nodes_are_those_of_the_end():
    axis = Axis(uneven(4))
    np.testing.assert_array_equal(end_weights(axis, "left", 0, 3), [1, 0, 0, 0])
    np.testing.assert_array_equal(end_weights(axis, "right", 0, 1), [0, 0, 0, 1])


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("derivative", [0, 1])
def test_order_of_convergence(derivative, order, cells):
    """On a smoothly stretched axis halving the spacing divides the error by 2 to the order."""
    if derivative == 0 and not cells:
        return
    errors = []
    for n in (40, 80):
        x = np.linspace(0.3, 1.3, n + 1) ** 1.5
        axis = Axis.cells(x) if cells else Axis(x)
        values = np.diff(-np.cos(x)) / np.diff(x) if cells else np.sin(x)
        exact = -np.cos(x[0]) if derivative else np.sin(x[0])
        errors.append(abs(end_weights(axis, "left", derivative, order) @ values - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_too_few_points():
    with pytest.raises(ValueError, match=r"has 3 point\(s\), but a stencil of order 3 takes 4"):
        end_weights(Axis(uneven(3)), "left", 1, 3)
