"""The picture of the house on the developers' page is true to the imports."""

from xml.etree import ElementTree

import house
import pytest

PICTURE = house.ROOT.parent / "docs" / "images" / "house.svg"
PAGE = house.ROOT.parent / "docs" / "user_guide" / "developing.rst"
SVG = ElementTree.parse(PICTURE).getroot()
ROOMS = {g.get("data-room"): g for g in SVG.iter() if g.get("data-room")}
ARROWS = {(p.get("data-from"), p.get("data-to")): p for p in SVG.iter() if p.get("data-from")}


def box(room):
    """Left, top, right and bottom of a room in the picture."""
    rect = ROOMS[room][0]
    x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def ends(path):
    """Where an arrow starts, and where it ends; only M, V and C occur."""
    numbers = [float(n) for n in path.get("d").translate(str.maketrans("MVC", "   ")).split()]
    last = (numbers[0], numbers[-1]) if "V" in path.get("d") else tuple(numbers[-2:])
    return tuple(numbers[:2]), last


def test_the_rooms_are_the_folders():
    folders = {path.parent.name for path in house.ROOT.glob("*/__init__.py")}
    assert set(ROOMS) == folders
    page = PAGE.read_text(encoding="utf-8")
    assert {room for room in folders if f"\n``{room}`` " not in page} == set()
    for room, drawn in ROOMS.items():
        assert drawn[1].text == room


def test_the_arrows_are_the_imports():
    imported = house.arrows()
    missing = sorted(f"{a} -> {b}" for a, b in imported - set(ARROWS))
    gone = sorted(f"{a} -> {b}" for a, b in set(ARROWS) - imported)
    assert (missing, gone) == ([], []), (
        f"docs/images/house.svg lacks the arrows {missing}, and {gone} are imports no more."
    )


@pytest.mark.parametrize("arrow", sorted(ARROWS), ids=" -> ".join)
def test_arrows_go_from_room_to_room_and_down(arrow):
    path = ARROWS[arrow]
    for (x, y), room in zip(ends(path), arrow, strict=True):
        left, top, right, bottom = box(room)
        on_a_side = x in (left, right) and top <= y <= bottom
        assert on_a_side or (y in (top, bottom) and left <= x <= right)
    assert ends(path)[0][1] < ends(path)[1][1]


def test_the_picture_says_nothing_twice():
    drawn = [p for p in SVG.iter() if p.get("data-from")]
    assert len(drawn) == len(ARROWS) > 10


def test_predict_is_short():
    assert house.calls_of_predict()[0] <= 119


def test_no_room_reaches_into_another():
    assert house.private_imports() == []


@pytest.mark.parametrize("estimator", house.estimators(), ids=lambda cls: cls.__name__)
def test_estimators_stand_on_few_classes(estimator):
    assert house.own_classes(estimator) <= 3
