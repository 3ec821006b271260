"""What the house looks like, counted: ``python tests/house.py`` prints it, test_house.py judges it.

Code lines are those that hold a token other than comments, docstrings and blanks. A private import
is one name taken from a module or as a module that starts with an underscore, in another room.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = "skphys"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}


def files() -> list[Path]:
    """Return the package's own modules."""
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the name of the folder under the package that a module is in."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else PACKAGE


def code_lines(path: Path) -> int:
    """Count the lines of a module that are neither blank, comment nor docstring."""
    text = path.read_text()
    spans = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - spans)


def imports() -> list[tuple[str, str, str]]:
    """Return (room, module, name) of each import of the package's own, wherever it stands."""
    found = []
    for path in files():
        package = (PACKAGE, *path.relative_to(ROOT).parts[:-1])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join([*base, *([node.module] if node.module else [])])
                if module.split(".")[0] == PACKAGE:
                    found += [(room_of(path), module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                names = (alias.name for alias in node.names)
                found += [(room_of(path), n, "") for n in names if n.split(".")[0] == PACKAGE]
    return found


def _target(module: str, name: str) -> str:
    parts = module.split(".")
    if len(parts) > 1:
        return parts[1]
    return name if name and (ROOT / name).is_dir() else PACKAGE


def arrows() -> set[tuple[str, str]]:
    """Return which room imports from which."""
    pairs = {(room, _target(module, name)) for room, module, name in imports()}
    return {(a, b) for a, b in pairs if a != b and PACKAGE not in (a, b)}


def private_imports() -> list[tuple[str, str, str]]:
    """Return the imports of one room from another's private modules."""
    return [
        (room, module, name)
        for room, module, name in imports()
        if room not in (PACKAGE, _target(module, name))
        and any(part.startswith("_") for part in [*module.split(".")[1:], name])
    ]


def own_classes(cls: type) -> int:
    """Count the package's own classes in an estimator's method resolution order."""
    return sum(base.__module__.split(".")[0] == PACKAGE for base in cls.__mro__)


def calls_of_predict() -> tuple[int, int]:
    """Return how many of the package's functions one predict with one law calls, and how deep.

    Comprehensions and generator expressions do not count.
    """
    import numpy as np
    from sklearn.linear_model import Ridge

    from skphys import ConservationConstrainedRegressor
    from skphys.constraints import ConservationLaw
    from skphys.grids import Grid

    grid = Grid(x=np.linspace(0.0, 1.0, 21))
    X = np.linspace(0.0, 1.0, 12)[:, None]
    y = np.ones((12, 21))
    law = ConservationLaw(over="x", total=1.0)
    model = ConservationConstrainedRegressor(Ridge(), law, grid).fit(X, y)
    model.predict(X)
    count = depth = deepest = 0

    def profile(frame, event, argument):
        nonlocal count, depth, deepest
        if f"{PACKAGE}/" not in frame.f_code.co_filename or frame.f_code.co_name[0] == "<":
            return
        if event == "call":
            count, depth = count + 1, depth + 1
            deepest = max(deepest, depth)
        elif event == "return":
            depth -= 1

    sys.setprofile(profile)
    try:
        model.predict(X)
    finally:
        sys.setprofile(None)
    return count, deepest


def estimators() -> list[type]:
    """Return the public estimators at the top of the package."""
    import skphys

    found = [getattr(skphys, name) for name in skphys.__all__]
    return [item for item in found if isinstance(item, type)]


def main() -> None:
    """Print the counts."""
    by_room: Counter[str] = Counter()
    for path in files():
        by_room[room_of(path)] += code_lines(path)
    print(f"code lines: {sum(by_room.values())}")
    for room, lines in by_room.most_common():
        print(f"  {room:14s} {lines:6d}")
    private = private_imports()
    print(f"private imports across rooms: {len(private)}")
    for room, module, name in private:
        print(f"  {room} <- {module}.{name}")
    print("own classes in the MRO:")
    for cls in estimators():
        print(f"  {cls.__name__:34s} {own_classes(cls)}")
    count, deepest = calls_of_predict()
    print(f"one predict with one law: {count} calls, {deepest} deep")


if __name__ == "__main__":
    main()
