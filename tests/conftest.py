"""What holds for the whole test suite."""

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "skphys",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("skphys")


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
