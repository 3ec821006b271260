"""Errors of conditioning, in the words of the user: which constraints, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skphys.conditioning import (
    InconsistentConstraintsError,
    InfeasibleInequalitiesError,
    UnmetLawError,
)
from skphys.estimators._layout import PredictedFields


@contextmanager
def naming(fields: PredictedFields) -> Iterator[None]:
    """Say of errors inside which constraints cannot be met, and where."""
    try:
        yield
    except UnmetLawError as error:
        raise _unmet(error, fields) from error
    except (InconsistentConstraintsError, InfeasibleInequalitiesError) as error:
        raise _named(error, fields) from error


def _place(fields: PredictedFields, sample: tuple[int, ...]) -> str:
    place = f"row {fields.first_rows()[sample[-1]]} of X"
    if not isinstance(fields.index, slice) and fields.index.ndim > 1:
        place = f"the field of {place}"
    return place


def _unmet(error: UnmetLawError, fields: PredictedFields) -> ValueError:
    assert fields.nonlinear is not None
    names = dict.fromkeys(fields.nonlinear.names[row] for row in error.rows)
    others = dict.fromkeys((*fields.system.names, *fields.inequalities.names))
    beside = f" beside {', '.join(map(repr, others))}" if others else ""
    wanted = fields.nonlinear.values[error.sample[-1], error.rows]
    unmet = (
        f"Nonlinear constraint(s) {', '.join(map(repr, names))} cannot be met{beside} for "
        f"{_place(fields, error.sample)}:"
    )
    if error.gap != error.gap:
        return ValueError(
            f"{unmet} what they say of it is NaN, at what the backbone predicts or near it. Keep "
            f"the field where they have a value, by Bounds say."
        )
    return ValueError(
        f"{unmet} the nearest field that was found misses the value "
        f"{wanted[0]:.6g} by {error.gap:.3g}. Either there is no such field, or none where the "
        f"backbone's standard deviation lets it move, or the law's derivatives vanish at what is "
        f"predicted, as those of an energy do at a field of zeros. Check the values, give the "
        f"constraint a positive noise, or use another error_model."
    )


def _named(
    error: InconsistentConstraintsError | InfeasibleInequalitiesError, fields: PredictedFields
) -> ValueError:
    names = dict.fromkeys(fields.system.names[row] for row in error.rows)
    place = _place(fields, error.sample)
    if isinstance(error, InfeasibleInequalitiesError):
        names.update(dict.fromkeys(fields.inequalities.names[row] for row in error.inequalities))
        return ValueError(
            f"Constraints {', '.join(map(repr, names))} cannot be met together for {place}: at "
            f"least {error.violation:.3g} of violation is left. Either they contradict each other, "
            f"or the backbone's uncertainty does not let the field move there: a standard "
            f"deviation is zero, or there are few members. Check the values and the bounds, or use "
            f"error_model='residual', ErrorModel(correlation_length=...) as error_model, or more "
            f"members."
        )
    return ValueError(
        f"Constraint(s) {', '.join(map(repr, names))} cannot be met for {place}: the residual is "
        f"{error.residual:.3g}. Either they contradict each other, or the backbone's standard "
        f"deviation is zero where the field would have to move. Check the values, give a "
        f"constraint a positive noise, or use another error_model (of a BoundaryEnforcedOperator: "
        f"another uncertainty)."
    )
