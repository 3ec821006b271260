"""README and the API page keep up with the code."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "constraints conditioning datasets estimators grids inspection metrics neural predictive "
    "preprocessing"
).split()


def fenced(language):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)


def test_readme_python_runs():
    pytest.importorskip("torch")
    blocks = fenced("python")
    assert blocks
    exec(compile("\n".join(blocks), "README.md", "exec"), {})


def test_readme_shell_blocks_are_the_main_job_and_the_tests():
    main_job, tests = fenced("shell")[:2]
    assert "examples/plot_stefan_conservation.py" in main_job
    assert "python -m pytest" in tests


@pytest.mark.parametrize("package", PACKAGES)
def test_api_page_lists_every_public_name(package):
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", page, flags=re.MULTILINE))
    assert set(importlib.import_module(f"skphys.{package}").__all__) <= listed


NEEDED = {"training_constraints": "torch", "neuraloperator": "neuralop.models", "skops": "skops.io"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.inc")), ids=lambda p: p.name)
def test_included_parts_of_pages_run(page):
    if page.stem in NEEDED:
        pytest.importorskip(NEEDED[page.stem])
    failed, _ = doctest.testfile(str(page), module_relative=False)
    assert failed == 0
