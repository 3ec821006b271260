"""Names of the series of a hierarchy."""

import re

import pytest

from skphys.constraints import Hierarchy


@pytest.mark.parametrize(
    ("groups", "levels", "name", "at"),
    [
        ({"city": ["Rome", "Rome"], "kind": ["tea", "tea"]}, [[]], "Rome/tea", [1, 2]),
        ({"city": ["a/b", "a"], "kind": ["c", "b/c"]}, [[]], "a/b/c", [1, 2]),
        ({"city": ["tea", "Oslo"], "kind": ["tea", "rice"]}, [["city"], ["kind"]], "tea", [1, 3]),
        ({"city": ["Rome", "Oslo"]}, [["city"]], "Oslo", [0, 3]),
        ({"city": ["total", "Oslo"], "kind": ["1", "2"]}, [[], ["city"]], "total", [0, 2]),
        ({"city": ["Rome"] * 2, "kind": ["1", "2"]}, [["city"], ["city"]], "Rome", [0, 1]),
    ],
)
def test_names_that_two_series_would_have(groups, levels, name, at):
    law = Hierarchy(groups, levels)
    with pytest.raises(ValueError, match=re.escape(f"{at} would all be called {name!r}")):
        law.names  # noqa: B018
    assert law.summing_matrix().shape[0] > max(at)  # sums need no names


def test_a_slash_that_is_not_ambiguous():
    assert Hierarchy({"kind": ["s/m", "l"]}, [[]]).names == ["total", "s/m", "l"]
