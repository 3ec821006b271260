"""Names of constraints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from skphys.constraints.base import Constraint
from skphys.constraints.inequality import InequalityConstraint
from skphys.constraints.nonlinear import NonlinearConstraint

NamedConstraints = list[tuple[str, Any]]
KINDS = (Constraint, InequalityConstraint, NonlinearConstraint)


def name_constraints(constraints: Any) -> NamedConstraints:
    """Return (name, constraint) pairs.

    Parameters
    ----------
    constraints : Constraint, list of Constraint, list of (str, Constraint), or None
        As a user gives them. A constraint without a name takes that of its class in lower case,
        numbered from 1 where a class occurs more than once.
    """
    if constraints is None:
        return []
    if isinstance(constraints, KINDS):
        constraints = [constraints]
    if isinstance(constraints, (str, bytes)) or not isinstance(constraints, Sequence):
        raise TypeError(
            f"constraints must be a Constraint, a list of them, or a list of (name, constraint) "
            f"pairs; got {type(constraints).__name__}."
        )
    default = [type(c).__name__.lower() for c in constraints if not isinstance(c, tuple)]
    repeated = {name for name, count in Counter(default).items() if count > 1}
    seen: Counter[str] = Counter()
    named = []
    for item in constraints:
        if isinstance(item, tuple) and len(item) == 2:
            name, constraint = item
        else:
            name, constraint = type(item).__name__.lower(), item
            seen[name] += 1
            name = f"{name}-{seen[name]}" if name in repeated else name
        named.append((name, constraint))
    _check_names(named)
    return named


def _check_names(named: NamedConstraints) -> None:
    for name, constraint in named:
        if not isinstance(constraint, KINDS):
            raise TypeError(
                f"constraints holds {constraint!r}, which is not a Constraint (an instance, not a "
                f"class)."
            )
        if not isinstance(name, str) or "__" in name or not name:
            raise ValueError(f"A constraint's name must be a string without '__'; got {name!r}.")
    repeated = [name for name, count in Counter(n for n, _ in named).items() if count > 1]
    if repeated:
        raise ValueError(f"The names of constraints must be unique; {repeated} occur twice.")
