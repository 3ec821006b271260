"""`import skphys` is cheap: what is heavy or optional is imported by those who use it."""

import functools
import subprocess
import sys

import pytest

import skphys

HEAVY = ("torch", "skorch", "matplotlib", "pandas")


@functools.cache
def imported_by(statement):
    """Names of the heavy packages that a fresh interpreter holds after the statement."""
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_the_probe_sees_a_heavy_import():
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
