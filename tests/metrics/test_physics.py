import numpy as np
import pytest

from skphys.constraints import Column, ConservationLaw, LinearEquality
from skphys.datasets import make_stefan
from skphys.grids import Axis, ColumnGrid, Grid
from skphys.metrics import conservation_error, shock_position


class TestConservationError:
    x = np.array([0.0, 0.1, 0.5, 1.0])
    grid = Grid(x=x)
    fields = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.1, 0.5, 1.0], [3.0, 0.0, 2.0, 1.0]])

    def test_is_the_integral_less_the_total(self):
        law = ConservationLaw(over="x", total=0.75)
        expected = np.trapezoid(self.fields, self.x, axis=1)[:, None] - 0.75
        assert conservation_error(self.fields, law, self.grid) == pytest.approx(expected)

    def test_takes_one_field(self):
        error = conservation_error(self.fields[1], ConservationLaw(total=0.5), self.grid)
        assert error == pytest.approx(np.zeros((1, 1)))

    def test_values_from_a_column_of_X(self):
        X = np.array([[7.0, 1.0], [8.0, 0.5], [9.0, 0.0]])
        law = ConservationLaw(over="x", total=Column(1))
        error = conservation_error(self.fields, law, self.grid, X=X)
        assert error[:, 0] == pytest.approx([0.0, 0.0, np.trapezoid(self.fields[2], self.x)])

    def test_given_values_override(self):
        law = ConservationLaw(over="x", total="unknown")
        error = conservation_error(self.fields, law, self.grid, values=[1.0, 0.5, 0.0])
        assert error[:2, 0] == pytest.approx([0.0, 0.0])

    def test_one_column_for_each_row_of_the_constraints(self):
        x, t = np.linspace(0.0, 1.0, 5), np.array([0.0, 1.0, 2.0])
        field = (t[None, :] * np.ones((5, 1))).reshape(1, -1)
        laws = [
            ("mass", ConservationLaw(over="x", total=[0.0, 1.0, 1.0])),
            ("first", LinearEquality(np.eye(15)[:1], 3.0)),
        ]
        error = conservation_error(field, laws, Grid(x=x, t=t))
        assert error == pytest.approx(np.array([[0.0, 0.0, 1.0, -3.0]]))
        error = conservation_error(field, laws, Grid(x=x, t=t), values={"first": 0.0})
        assert error[0, 3] == 0.0
        with pytest.raises(ValueError, match="values must be a dict"):
            conservation_error(field, laws, Grid(x=x, t=t), values=0.0)

    def test_no_grid_is_unit_cells(self):
        error = conservation_error([[1.0, 2.0, 3.0]], ConservationLaw(total=5.0))
        assert error.tolist() == [[1.0]]

    def test_the_quadratures_own_error_at_a_jump(self):
        data = make_stefan(1, layout="fields", u_star=0.6, t=0.05)
        law = ConservationLaw(over="x", total=data.mass)
        error = conservation_error(data.target, law, data.grid, X=data.data)
        assert abs(error) == pytest.approx(1.4e-3, abs=2e-4)

    def test_bad_input(self):
        law = ConservationLaw(total=1.0)
        with pytest.raises(ValueError, match=r"y must have the shape \(n_samples, 4\)"):
            conservation_error(np.zeros((2, 3)), law, self.grid)
        with pytest.raises(ValueError, match="X has 2 rows, but y has 3 fields"):
            conservation_error(self.fields, law, self.grid, X=np.zeros((2, 1)))


TIMES = (0.03, 0.01, 0.08)


def interleaved_fields():
    """Rows (t, x) of fields of unequal size, mixed; they first occur in the order of TIMES."""
    rng = np.random.default_rng(0)
    tables = [
        np.column_stack([np.full(n, t), rng.permutation(np.linspace(0.0, 1.0, n))])
        for t, n in zip(TIMES, (50, 50, 80), strict=True)
    ]
    first = [table[:1] for table in tables]
    rest = rng.permutation(np.concatenate([table[1:] for table in tables]))
    return np.concatenate([*first, rest])


class TestLongTable:
    data = make_stefan(1, u_star=0.6)
    X = interleaved_fields()
    y = data.solution(*X.T)

    def expected(self):
        errors = []
        for t in TIMES:
            field = self.X[:, 0] == t
            order = np.argsort(self.X[field, 1])
            mass = np.trapezoid(self.y[field][order], self.X[field, 1][order])
            errors.append([mass - self.data.mass(t)])
        return np.array(errors)

    def test_mass_of_the_by_columns(self):
        law = ConservationLaw(over="x1", total=self.data.mass)
        error = conservation_error(self.y, law, ColumnGrid(space=1, by=0), X=self.X)
        assert error == pytest.approx(self.expected())

    def test_column_of_a_data_frame(self):
        pd = pytest.importorskip("pandas")
        X = pd.DataFrame(self.X, columns=["t", "x"]).assign(mass=self.data.mass(self.X[:, 0]))
        for total in ("mass", self.data.mass):
            law = ConservationLaw(over="x", total=total)
            error = conservation_error(self.y, law, ColumnGrid(space="x", by="t"), X=X)
            assert error == pytest.approx(self.expected())

    def test_bad_input(self):
        law, grid = ConservationLaw(total=1.0), ColumnGrid(space=1, by=0)
        with pytest.raises(ValueError, match="one row for each of the 180 values of y; got none"):
            conservation_error(self.y, law, grid)
        with pytest.raises(ValueError, match="values needs a Grid"):
            conservation_error(self.y, law, grid, X=self.X, values=1.0)
        with pytest.raises(ValueError, match="The law acts on the nodes"):
            conservation_error(self.y, law, ColumnGrid(space=1, by=0, nodes=[0.0, 1.0]), X=self.X)


class TestShockPosition:
    x = np.linspace(0.0, 1.0, 11)

    def test_interpolates(self):
        profile = np.where(self.x < 0.45, 1.0, 0.0)
        assert shock_position(profile, self.x, threshold=0.25) == pytest.approx(0.475)

    @pytest.mark.parametrize("grid", [Grid(x=x), Grid(x=Axis.cells(np.linspace(0, 1, 12))), x])
    def test_takes_grids_and_coordinates(self, grid):
        points = grid["x"] if isinstance(grid, Grid) else grid
        line = 2.0 - 3.0 * points
        assert shock_position(line, grid, threshold=0.8) == pytest.approx(0.4)

    def test_last_or_first_crossing(self):
        profile = np.interp(self.x, [0.0, 0.3, 0.6, 1.0], [1.0, 0.0, 1.0, 0.0])
        assert shock_position(profile, self.x) == pytest.approx(0.8)
        assert shock_position(profile, self.x, crossing="first") == pytest.approx(0.15)

    def test_default_threshold_is_halfway(self):
        rise = np.array([[2.0, 2.0, 4.0], [0.0, 10.0, 10.0]])
        assert shock_position(rise, [0.0, 1.0, 2.0]) == pytest.approx([1.5, 0.5])

    def test_shapes_follow_the_samples(self):
        rng = np.random.default_rng(0)
        samples = rng.normal(size=(3, 11, 7))
        positions = shock_position(samples, self.x, threshold=0.0)
        assert positions.shape == (3, 7)
        assert positions[1, 4] == shock_position(samples[1, :, 4], self.x, threshold=0.0)
        one = shock_position(samples[1], self.x, threshold=0.0, axis=0)
        assert np.array_equal(one, positions[1])

    def test_exact_profiles_within_a_cell(self):
        data = make_stefan(50, layout="fields", t=(0.005, 0.1), random_state=0)
        found = shock_position(data.target, data.grid, threshold=0.3)
        truth = data.shock_position(data.data)
        assert np.abs(found - truth).max() <= 0.005

    def test_none_is_nan(self):
        assert np.isnan(shock_position(np.ones(11), self.x))
        assert np.isnan(shock_position(self.x, self.x, threshold=2.0))

    def test_bad_input(self):
        with pytest.raises(ValueError, match="name the axis of the points"):
            shock_position(np.zeros((11, 5)), self.x)
        with pytest.raises(ValueError, match="must have one axis, got 2"):
            shock_position(np.zeros(4), Grid(x=[0.0, 1.0], t=[0.0, 1.0]))
        with pytest.raises(ValueError, match="increasing"):
            shock_position(np.zeros(2), [1.0, 0.0])
        with pytest.raises(ValueError, match="crossing must be"):
            shock_position(np.zeros(11), self.x, crossing="middle")
