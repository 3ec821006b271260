"""Errors of conditioning, in the words of the user: which constraints, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skphys.conditioning import InconsistentConstraintsError, InfeasibleInequalitiesError
from skphys.estimators._layout import PredictedFields


@contextmanager
def naming(fields: PredictedFields) -> Iterator[None]:
    """Say of errors inside which constraints cannot be met, and where."""
    try:
        yield
    except (InconsistentConstraintsError, InfeasibleInequalitiesError) as error:
        raise _named(error, fields) from error


def _named(
    error: InconsistentConstraintsError | InfeasibleInequalitiesError, fields: PredictedFields
) -> ValueError:
    names = dict.fromkeys(fields.system.names[row] for row in error.rows)
    place = f"row {fields.first_rows()[error.sample[-1]]} of X"
    if not isinstance(fields.index, slice) and fields.index.ndim > 1:
        place = f"the field of {place}"
    if isinstance(error, InfeasibleInequalitiesError):
        names.update(dict.fromkeys(fields.inequalities.names[row] for row in error.inequalities))
        return ValueError(
            f"Constraints {', '.join(map(repr, names))} cannot be met together for {place}: at "
            f"least {error.violation:.3g} of violation is left. Either they contradict each other, "
            f"or the backbone's uncertainty does not let the field move there: a standard "
            f"deviation is zero, or there are few members. Check the values and the bounds, or use "
            f"uncertainty='residual', more members, or correlation_length."
        )
    return ValueError(
        f"Constraint(s) {', '.join(map(repr, names))} cannot be met for {place}: the residual is "
        f"{error.residual:.3g}. Either they contradict each other, or the backbone's standard "
        f"deviation is zero where the field would have to move. Check the values, give a "
        f"constraint a positive noise, or use another uncertainty."
    )
