"""`import skphys` is cheap: what is heavy or optional is imported by those who use it."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

import skphys

ROOT = Path(skphys.__file__).parent
HEAVY = ("torch", "skorch", "matplotlib", "pandas")


@functools.cache
def imported_by(statement):
    """Names of the heavy packages that a fresh interpreter holds after the statement."""
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_the_probe_sees_a_heavy_import():
    pytest.importorskip("torch")
    assert "torch" in imported_by("import torch")


@pytest.mark.parametrize(
    "statement",
    ["import skphys", "import skphys; dir(skphys)", "import skphys.conditioning"],
)
def test_import_is_light(statement):
    assert imported_by(statement) == []


@pytest.mark.parametrize(
    "statement",
    [
        "import skphys.grids",
        "import skphys.constraints",
        "import skphys.predictive",
        "import skphys.datasets",
        "import skphys.inspection",
        "import skphys.metrics",
        "import skphys.preprocessing",
        "from skphys import ConservationConstrainedRegressor",
        "from skphys import *",
    ],
)
def test_import_adds_nothing_to_scikit_learn(statement):
    """scikit-learn 1.9 imports pandas where it is installed; the others stay out."""
    assert imported_by(statement) == imported_by("import sklearn.base")


def test_scikit_learn_leaves_out_torch_and_matplotlib():
    assert set(imported_by("import sklearn.base")) <= {"pandas"}


def test_import_loads_no_submodule():
    code = "import sys, skphys; print([name for name in sys.modules if name[:7] == 'skphys.'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", skphys.__all__)
def test_every_public_name_resolves(name):
    assert getattr(skphys, name) is not None
    assert name in dir(skphys)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'ConservatoinLaw'"):
        skphys.ConservatoinLaw  # noqa: B018


NETS = ("AttentiveNeuralProcessRegressor", "FNORegressor")
WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        torch = name.partition(".")[0] == "torch"
        return None if torch else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
import skphys
"""


def run_without_torch(statement):
    """What a fresh interpreter that finds no torch says last, to stdout and to stderr."""
    command = [sys.executable, "-c", WITHOUT_TORCH + statement]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout.strip(), result.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    "statement",
    [
        *(f"skphys.{name}" for name in NETS),
        *(f"from skphys import {name}" for name in NETS),
        "from skphys.neural import FNO",
        "from skphys.neural import register_spectral_layer",
        "skphys.neural.DiffusionEquation(1.0)",
    ],
)
def test_a_net_without_torch_names_the_extra(statement):
    _, error = run_without_torch(statement)
    assert error.startswith("ImportError: ") and 'pip install "skphys[neural]"' in error
    assert "needs torch" in error


def test_everything_but_nets_is_there_without_torch():
    found, error = run_without_torch("from skphys import *; print(*dir())")
    assert error == ""
    expected = {*skphys.__all__, *NETS}
    assert expected & set(found.split()) == expected - set(NETS)


def test_rooms_but_neural_need_no_torch():
    rooms = sorted(set(skphys.__all__) & {path.parent.name for path in ROOT.glob("*/__init__.py")})
    assert len(rooms) == 10
    everything = "; ".join(f"from skphys.{room} import *" for room in rooms if room != "neural")
    assert run_without_torch(everything) == ("", "")
    plain = "BoundaryBatch, BoundaryEmbedding, ConstraintBatch, EmbeddedFace"
    assert run_without_torch(f"from skphys.neural import {plain}") == ("", "")
