"""Residuals of exact solutions are zero; those of other fields equal finite differences."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from skphys.datasets import make_stefan
from skphys.neural import (
    AdvectionEquation,
    BurgersEquation,
    DifferentialEquation,
    DiffusionEquation,
    PorousMediumEquation,
    StefanEquation,
)

torch = pytest.importorskip("torch")


def square_of(u, parameter):
    return parameter * u**2


EQUATIONS = [
    DiffusionEquation(0.7),
    DiffusionEquation(square_of),
    PorousMediumEquation(3.0),
    StefanEquation(0.6, conductivity=0.1),
    AdvectionEquation(2.0),
    BurgersEquation(0.3),
]


def scattered(times, positions, n=50, seed=0):
    """Random points (n, 2) in a box, in float64."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(*times, n), rng.uniform(*positions, n)])
    return torch.as_tensor(points).requires_grad_()


def porous(t, x, m):
    return (m * (t - x)) ** (1.0 / m)


def ramp(t, x, a):
    return -a * x / (1.0 - a * t)


def wave(t, x, nu):
    return 1.0 - torch.tanh((x - t) / (2.0 * nu))


@pytest.mark.parametrize(
    ("equation", "solution", "parameter", "box"),
    [
        (DiffusionEquation(), lambda t, x, k: torch.exp(-k * t) * torch.sin(x), 3.0, (0, 6)),
        (PorousMediumEquation(), porous, 1.0, (0.0, 0.4)),
        (PorousMediumEquation(), porous, 6.0, (0.0, 0.4)),
        (AdvectionEquation(), lambda t, x, beta: torch.cos(x - beta * t) ** 3, 2.0, (0, 1)),
        (BurgersEquation(), ramp, 0.5, (-1, 0)),
        (BurgersEquation(0.2), lambda t, x, _: wave(t, x, 0.2), None, (-1, 1)),
    ],
)
def test_exact_solutions_have_no_residual(equation, solution, parameter, box):
    points = scattered((0.5, 0.9), box)
    t, x = points.unbind(-1)
    u = solution(t, x, parameter)
    residual = equation.residual(u, points, parameter)
    size = equation.gradient(u, points).abs().max()
    assert residual.shape == u.shape
    assert residual.abs().max() < 1e-12 * size
    other = 1.0 + (2.0 if parameter is None else parameter)
    if parameter is not None and not isinstance(equation, BurgersEquation):
        assert equation.residual(u, points, other).abs().max() > 0.1 * size


def test_stefan_problem_has_no_residual_on_either_side_of_the_front():
    data = make_stefan(1, u_star=0.6, random_state=0)
    points = scattered((0.02, 0.1), (0.0, 1.0), 400)
    t, x = points.unbind(-1)
    front = torch.as_tensor(data.shock_position(t.detach().numpy()))
    rate = (front / (2.0 * t.detach().sqrt()))[0]
    left = 1.0 - 0.4 * torch.erf(x / (2.0 * t.sqrt())) / torch.erf(rate)
    behind = x < front
    u = torch.where(behind, left, 0.0 * left)
    np.testing.assert_allclose(
        u.detach(), data.solution(t.detach().numpy(), x.detach().numpy()), atol=1e-12
    )
    assert 20 < int(behind.sum()) < 380
    assert StefanEquation().residual(u, points, 0.6).abs().max() < 1e-10
    # above a higher threshold there would be no diffusion
    assert StefanEquation().residual(u, points, 0.99).abs().max() > 1.0


def smooth(t, x):
    return 1.2 + 0.5 * np.sin(2.0 * x + t) + 0.3 * np.cos(3.0 * x * t)


def smooth_torch(t, x):
    return 1.2 + 0.5 * torch.sin(2.0 * x + t) + 0.3 * torch.cos(3.0 * x * t)


def by_differences(equation, t, x, parameter, h=1e-4):
    """The residual of `smooth` from central differences of fluxes."""
    u_t = (smooth(t + h, x) - smooth(t - h, x)) / (2 * h)
    u, above, below = smooth(t, x), smooth(t, x + h), smooth(t, x - h)
    if isinstance(equation, AdvectionEquation):
        return u_t + equation.speed * (above - below) / (2 * h)
    if isinstance(equation, BurgersEquation):
        convection = (above**2 - below**2) / (4 * h)
        return u_t + convection - equation.viscosity * (above - 2 * u + below) / h**2
    right, left = smooth(t, x + h / 2), smooth(t, x - h / 2)
    if isinstance(equation, PorousMediumEquation):
        k = [v**equation.exponent for v in (left, right)]
    elif isinstance(equation, StefanEquation):
        k = [equation.conductivity * (v >= equation.threshold) for v in (left, right)]
    elif callable(equation.conductivity):
        k = [parameter * v**2 for v in (left, right)]
    else:
        k = [equation.conductivity] * 2
    return u_t - (k[1] * (above - u) - k[0] * (u - below)) / h**2


@pytest.mark.parametrize("equation", EQUATIONS, ids=range(len(EQUATIONS)))
def test_equals_finite_differences(equation):
    points = scattered((0.0, 1.0), (-1.0, 1.0))
    u = smooth_torch(*points.unbind(-1))
    residual = equation.residual(u, points, 0.4).detach().numpy()
    expected = by_differences(equation, *points.detach().numpy().T, 0.4)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(residual, expected, rtol=1e-4, atol=2e-5)


def test_two_dimensions_of_space_and_a_parameter_for_each_field():
    points = torch.rand(2, 30, 3, dtype=torch.float64, requires_grad=True)
    t, x, y = points.unbind(-1)
    k = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    u = torch.exp(-5.0 * k * t) * torch.sin(x) * torch.sin(2.0 * y)
    assert DiffusionEquation().residual(u, points, k).abs().max() < 1e-12
    assert DiffusionEquation().residual(u, points, k.flip(0)).abs().max() > 0.1


def test_the_penalty_can_be_trained_on():
    """d/da of the mean squared residual of a t + x^2 under u_t = u_xx: a - 2 at each point."""
    points = scattered((0, 1), (0, 1))
    a = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    t, x = points.unbind(-1)
    penalty = DiffusionEquation(1.0).residual(a * t + x**2, points).square().mean()
    assert penalty.item() == pytest.approx(9.0)
    (slope,) = torch.autograd.grad(penalty, a)
    assert slope.item() == pytest.approx(6.0)


@pytest.mark.parametrize("exponent", [1.0, 1.5, 3.0])
def test_an_empty_medium_has_finite_gradients(exponent):
    points = scattered((0, 1), (0, 1))
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    u = scale * torch.relu(points[..., 0] - points[..., 1])  # zero in a part, as are its gradients
    penalty = PorousMediumEquation(exponent).residual(u, points).square().mean()
    assert torch.isfinite(torch.autograd.grad(penalty, scale)[0])


def test_fields_that_do_not_depend_on_a_coordinate():
    points = scattered((0, 1), (0, 1))
    still = points[..., 1].sin()
    np.testing.assert_allclose(
        DiffusionEquation(2.0).residual(still, points).detach(), 2.0 * still.detach()
    )
    assert (DiffusionEquation(2.0).residual(torch.ones(50), points) == 0).all()
    weight = torch.ones((), requires_grad=True)
    assert (DiffusionEquation(2.0).residual(weight.expand(50), points) == 0).all()


def test_errors_say_what_to_do():
    points = scattered((0, 1), (0, 1))
    u = points.sum(-1)
    with pytest.raises(ValueError, match="speed=None of AdvectionEquation"):
        AdvectionEquation().residual(u, points)
    with pytest.raises(ValueError, match="require gradients"):
        BurgersEquation().residual(u, points.detach())
    with pytest.raises(ValueError, match="shape of the field"):
        BurgersEquation().residual(u[:3], points)
    with pytest.raises(ValueError, match=r"one position; points have 1 coordinate"):
        BurgersEquation().residual(u, points[:, :1])
    with pytest.raises(ValueError, match=r"at least one position; points have 1 coordinate"):
        StefanEquation(0.5).residual(u, points[:, :1])
    with pytest.raises(ValueError, match="equation_parameters="):
        PorousMediumEquation().residual(u, points)


@pytest.mark.parametrize("equation", EQUATIONS, ids=range(len(EQUATIONS)))
def test_pickles_and_clones(equation):
    for copied in (pickle.loads(pickle.dumps(equation)), clone(equation)):
        assert isinstance(copied, DifferentialEquation)
        assert copied.get_params() == equation.get_params()
