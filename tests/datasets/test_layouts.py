import inspect
import pickle

import numpy as np
import pytest

from skphys import datasets
from skphys.grids import Grid

MAKERS = {
    "k": datasets.make_diffusion,
    "m": datasets.make_porous_medium,
    "u_star": datasets.make_stefan,
    "beta": datasets.make_advection,
    "a": datasets.make_burgers,
}
TRAINING = {"k": (1, 5), "m": (1, 6), "u_star": (0.55, 0.7), "beta": (1, 5), "a": (1, 4)}
all_makers = pytest.mark.parametrize("name", MAKERS)


def test_signatures_differ_in_the_parameters_name_only():
    shapes = {
        tuple(p if p != name else "parameter" for p in inspect.signature(make).parameters)
        for name, make in MAKERS.items()
    }
    assert len(shapes) == 1


@all_makers
def test_table_holds_points_of_one_solution(name):
    data = MAKERS[name](80, random_state=3)
    t, x = data.data.T
    assert data.data.shape == (80, 2)
    assert data.feature_names == ["t", "x"]
    assert data.target == pytest.approx(data.solution(t, x), abs=0)
    for values, (low, high) in ((t, data.times), (x, data.domain)):
        assert low <= values.min() < values.max() <= high
        assert np.ptp(values) > 0.8 * (high - low)
    assert set(data.params) == {name}


@all_makers
def test_fields_are_drawn_from_the_training_range(name):
    data = MAKERS[name](60, layout="fields", n_points=31, random_state=3)
    parameter, t = data.data.T
    low, high = TRAINING[name]
    assert data.feature_names == [name, "t"]
    assert low <= parameter.min() < parameter.max() <= high
    assert np.ptp(parameter) > 0.8 * (high - low)
    assert data.grid == Grid(x=np.linspace(*data.domain, 31))
    rows = [data.solution(t[i], data.grid["x"], parameter[i]) for i in range(60)]
    assert np.array_equal(data.target, rows)
    assert data.mass(data.data)[5] == data.mass(t[5], parameter[5])


@all_makers
def test_same_seed_same_data(name):
    make = MAKERS[name]
    for layout in ("table", "fields"):
        first, again = (make(5, layout=layout, random_state=7) for _ in range(2))
        other = make(5, layout=layout, random_state=8)
        assert np.array_equal(first.data, again.data)
        assert not np.array_equal(first.data, other.data)


@all_makers
@pytest.mark.parametrize("layout", ["table", "fields"])
def test_whole_bunch_pickles(name, layout):
    data = MAKERS[name](4, layout=layout, n_points=5, random_state=0)
    copy = pickle.loads(pickle.dumps(data))
    value = data.data[0, 0] if layout == "fields" else None
    t = 0.5 * data.times[1]
    assert copy.solution(t, 0.3, value) == data.solution(t, 0.3, value)
    assert copy.mass(t, value) == data.mass(t, value)
    assert copy.grid == data.grid


def test_noise_has_the_given_spread():
    clean = datasets.make_diffusion(4000, random_state=0)
    noisy = datasets.make_diffusion(4000, noise=0.1, random_state=0)
    assert np.array_equal(clean.data, noisy.data)
    assert np.std(noisy.target - clean.target) == pytest.approx(0.1, rel=0.05)


def test_one_number_fixes_parameter_and_time():
    data = datasets.make_stefan(5, layout="fields", u_star=0.5, t=0.05, random_state=0)
    assert (data.data == [0.5, 0.05]).all()
    assert data.params == {"u_star": 0.5}
    assert data.mass(0.05) == data.mass(data.data)[0]


def test_as_frame():
    pd = pytest.importorskip("pandas")
    table = datasets.make_stefan(6, as_frame=True, random_state=0)
    assert list(table.frame.columns) == ["t", "x", "u"]
    assert isinstance(table.target, pd.Series)
    fields = datasets.make_stefan(6, layout="fields", n_points=3, as_frame=True, random_state=0)
    assert list(fields.frame.columns) == ["u_star", "t", "u0", "u1", "u2"]
    plain = datasets.make_stefan(6, layout="fields", n_points=3, random_state=0)
    assert np.array_equal(fields.target.to_numpy(), plain.target)
    assert fields.mass(fields.data) == pytest.approx(plain.mass(plain.data), abs=0)


def test_mass_takes_every_type_of_row():
    pd = pytest.importorskip("pandas")
    mass = datasets.make_stefan(1, u_star=0.6).mass
    t = np.array([0.0, 0.02, 0.05])
    expected = np.array([mass(value) for value in t.tolist()])
    assert np.ndim(mass(0.05)) == 0
    for rows in (t, t.tolist(), t[:, None], pd.DataFrame({"t": t}), pd.DataFrame({"s": 1, "t": t})):
        assert mass(rows).shape == (3,)
        assert mass(rows) == pytest.approx(expected, abs=0)
    both = np.column_stack([[0.5, 0.6, 0.7], t])
    assert mass(both)[1] == expected[1]
    assert mass(both)[2] == mass(0.05, 0.7)
    assert mass(pd.DataFrame(both, columns=["u_star", "t"])) == pytest.approx(mass(both), abs=0)


def test_mass_is_the_total_of_a_law():
    pytest.importorskip("skphys.constraints")
    from skphys.constraints import ConservationLaw
    from skphys.metrics import conservation_error

    data = datasets.make_burgers(8, layout="fields", location="cells", random_state=0)
    law = ConservationLaw(over="x", total=data.mass)
    assert np.abs(conservation_error(data.target, law, data.grid, X=data.data)).max() < 1e-13


def test_return_X_y():
    X, y = datasets.make_advection(7, return_X_y=True)
    assert X.shape == (7, 2)
    assert y.shape == (7,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"u_star": 1.0}, "u_star must satisfy 0 < u_star < 1"),
        ({"u_star": (0.0, 0.5), "layout": "fields"}, "u_star must satisfy"),
        ({"u_star": (0.5, 0.6)}, "u_star must be one number"),
        ({"u_star": (0.6, 0.5), "layout": "fields"}, "in the order"),
        ({"u_star": "high"}, "a number or a pair"),
        ({"u_star": np.nan}, "must be finite"),
        ({"t": -1.0}, "t must be non-negative"),
        ({"t": (0.0, 0.1, 0.2)}, "a number or a pair"),
        ({"layout": "long"}, "layout must be one of"),
        ({"location": "faces"}, "location must be one of"),
        ({"noise": -0.1}, "noise is a standard deviation"),
        ({"n_samples": 0}, "n_samples must be an integer of at least 1"),
        ({"n_points": 1}, "n_points must be an integer of at least 2"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.make_stefan(**{"n_samples": 3, **options})


@pytest.mark.parametrize(("name", "bad"), [("k", 0), ("m", 0), ("m", -1), ("beta", -2), ("a", 0)])
def test_parameters_must_be_admissible(name, bad):
    with pytest.raises(ValueError, match=f"{name} must satisfy 0 < {name}, got"):
        MAKERS[name](3, **{name: bad})


def test_callables_explain_what_they_need():
    drawn = datasets.make_stefan(2, layout="fields")
    with pytest.raises(ValueError, match=r"columns \(u_star, t\)"):
        drawn.mass(0.05)
    with pytest.raises(ValueError, match=r"one column \(t\) or two"):
        drawn.mass(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="t must be non-negative"):
        drawn.solution(-1.0, 0.5, 0.6)
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="a column 't'"):
        drawn.mass(pd.DataFrame({"time": [0.1]}))
