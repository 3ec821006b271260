"""What holds for the whole test suite."""

import os
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

# Read by numpy, scipy and torch when they are imported, which is later; workers inherit it. Two
# processes of one thread each are faster on two cores than one process of two threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
MAX_WORKERS = 8  # each holds a torch

ROOT = Path(__file__).resolve().parents[1]
# All that these test or show is nets. Without torch they are left out, and single tests elsewhere
# skip themselves; in .ci/run every other test module has to run there.
NETS = [
    "docs/user_guide/coming_from.rst",
    "docs/user_guide/neural_processes.rst",
    "docs/user_guide/operators.rst",
    "docs/user_guide/torch_modules.rst",
    "docs/user_guide/trained_nets.rst",
    "skphys/neural/*",
    "tests/conditioning/test_torch.py",
    "tests/estimators/test_boundary_columns.py",
    "tests/estimators/test_boundary_lift_error.py",
    "tests/estimators/test_boundary_operator_fno.py",
    "tests/estimators/test_boundary_skorch.py",
    "tests/estimators/test_constrain_training.py",
    "tests/estimators/test_names_on_grid.py",
    "tests/estimators/test_nets.py",
    "tests/estimators/test_spread_of_nets.py",
    "tests/fno_cases.py",
    "tests/neural/*",
    "tests/predictive/test_skorch.py",
    "tests/process_cases.py",
    "tests/test_reproduce_boon.py",
    "tests/test_reproduce_probconserv.py",
]

hypothesis.settings.register_profile(
    "skphys",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("skphys")


def pytest_addoption(parser):
    """Let a second environment see a part of the tests of each module."""
    parser.addoption("--every", type=int, default=1, help="keep each n-th test of a module")


def pytest_collection_modifyitems(config, items):
    """Keep each n-th test of a module, and all where they are few."""
    step, seen, kept, left = config.getoption("--every"), Counter(), [], []
    many = Counter(item.path for item in items)
    for item in items:
        place = seen[item.path]
        seen[item.path] += 1
        (left if place % step and many[item.path] > step else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


def pytest_configure(config):
    """Leave out what is about nets where there is no torch."""
    if find_spec("torch") is None:
        ignored = [str(ROOT / pattern) for pattern in NETS]
        config.option.ignore_glob = [*(config.option.ignore_glob or []), *ignored]


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Share the whole suite out between processes; what is narrower stays in one, for -s and pdb.

    This goes before pytest-xdist's own hook, and leaves an explicit ``-n`` alone.
    """
    unsaid = getattr(config.option, "numprocesses", 0) is None and not config.option.tx
    whole = config.args_source is config.ArgsSource.TESTPATHS
    if whole and unsaid and not hasattr(config, "workerinput"):
        config.option.numprocesses = "auto"
        config.option.maxprocesses = config.option.maxprocesses or MAX_WORKERS


def pytest_runtest_setup(item):
    """Skip what needs an accelerator where there is none."""
    if item.get_closest_marker("gpu"):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("torch sees no accelerator")


@pytest.fixture(autouse=True)
def _headless(monkeypatch):
    """Let no test open a window."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
