"""docs/benchmarks.py runs scripts, and writes what they print with the date and the machine."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def benchmarks():
    spec = importlib.util.spec_from_file_location("docs_benchmarks", DOCS / "benchmarks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(tmp_path):
    folder = tmp_path / "examples" / "benchmarks"
    folder.mkdir(parents=True)
    return folder / "toy.py"


def test_a_part_of_the_page(benchmarks, script):
    script.write_text("import sys\nprint('a table')\nprint('  of', *sys.argv[1:])\n")
    head, body = benchmarks.block(script, ["--quick"], None).split("\n\n", 1)
    assert head.startswith("``python examples/benchmarks/toy.py --quick``, 20")
    assert re.search(r"minutes on .+, \d+ cores", head) and "numpy 2." in head
    assert body == ".. code-block:: text\n\n   a table\n     of --quick\n"


def test_what_fails_is_not_written(benchmarks, script):
    script.write_text("print('half')\nraise SystemExit('no rival')\n")
    with pytest.raises(RuntimeError, match=r"toy\.py failed:\nno rival"):
        benchmarks.block(script, [], None)


def test_what_lasts_too_long_is_stopped(benchmarks, script):
    script.write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(subprocess.TimeoutExpired):
        benchmarks.block(script, [], 0.2)


def test_every_benchmark_has_its_part_of_the_page(benchmarks):
    page = (DOCS / "user_guide" / "benchmarks.rst").read_text(encoding="utf-8")
    included = re.findall(r"^\.\. include:: benchmarks/(\w+)\.inc$", page, flags=re.MULTILINE)
    assert sorted(included) == sorted(path.stem for path in benchmarks.SCRIPTS.glob("*.py"))
    written = {path.stem for path in (DOCS / "user_guide" / "benchmarks").glob("*.inc")}
    assert written == set(included)
