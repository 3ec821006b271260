"""Check a run of the tests without torch: every module that is not about nets passed something.

``python .ci/ran_without_torch.py RESULTS.xml`` reads what ``pytest --junitxml`` wrote, and the
list of what is about nets from tests/conftest.py.
"""

import ast
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]


def about_nets():
    """Return the files that tests/conftest.py leaves out without torch."""
    module = ast.parse((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NETS":
            patterns = ast.literal_eval(node.value)
            return {path for pattern in patterns for path in ROOT.glob(pattern)}
    raise SystemExit("tests/conftest.py has no list NETS")


def main(results):
    """Print how many modules ran, or which did not."""
    cases = list(ElementTree.parse(results).iter("testcase"))
    passed = {case.get("classname") for case in cases if not len(case)}
    modules = sorted(set(ROOT.glob("tests/**/test_*.py")) - about_nets())
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    # The tests of a class are named after it, too; each room has an example in its docstrings.
    names += [f"skphys.{p.parent.name}" for p in ROOT.glob("skphys/*/__init__.py")]
    names.remove("skphys.neural")
    idle = [n for n in names if not any(f"{p}.".startswith(f"{n}.") for p in passed)]
    if idle:
        raise SystemExit(f"Without torch, nothing passed in {idle}")
    print(f"{len(names)} modules and rooms ran without torch, {len(cases)} tests")


if __name__ == "__main__":
    main(sys.argv[1])
