"""The rules a submission is checked by, one by one."""

import pandas as pd
import pytest

from cytoyolo.scoring.check import Finding, findings
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import SUBMISSION_ROLES, TEST_ROLES

SPEC = load_spec("cytologia")
TEST = pd.DataFrame([("1", "a.jpg"), ("2", "a.jpg"), ("3", "b.jpg")], columns=list(TEST_ROLES))
GOOD = [
    ["1", "a.jpg", "0", "0", "10", "10", "PNN"],
    ["2", "a.jpg", "0", "0", "0", "0", "PNN"],
    ["3", "b.jpg", "5", "5", "60", "60", "EO"],
]


def found(rows: list[list[str]], sizes: dict[str, tuple[int, int]] | None = None) -> list[str]:
    submission = pd.DataFrame(rows, columns=list(SUBMISSION_ROLES))
    return [str(finding) for finding in findings(TEST, submission, SPEC, sizes)]


def changed(row: int, column: str, value: str) -> list[list[str]]:
    rows = [list(values) for values in GOOD]
    rows[row][SUBMISSION_ROLES.index(column)] = value
    return rows


def test_a_good_submission_has_no_findings_in_any_order() -> None:
    assert found(GOOD) == found(GOOD[::-1]) == []
    assert found(GOOD, {"a.jpg": (10, 10), "b.jpg": (60, 60)}) == []


def test_fallback_rows_may_repeat_in_an_image() -> None:
    rows = [[number, "a.jpg", "0", "0", "0", "0", "PNN"] for number in "12"]
    assert found([*rows, GOOD[2]]) == []


def test_ids_that_equal_as_numbers_are_the_same() -> None:
    assert found([[f"{row[0]}.0", *row[1:]] for row in GOOD]) == []


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (1, "x1", "abc", "line 3: x1 is 'abc', not a pixel coordinate"),
        (1, "y2", "inf", "line 3: y2 is 'inf', not a pixel coordinate"),
        (0, "x1", "", "line 2: x1 is '', not a pixel coordinate"),
        (0, "y2", "1e308", "line 2: y2 is '1e308', not a pixel coordinate"),
        (0, "x1", "11", "line 2: box 11,0,10,10 is inverted"),
        (0, "x1", "-1", "line 2: box -1,0,10,10 has a negative coordinate"),
        (0, "x1", "0.5", "line 2: box 0.5,0,10,10 has a coordinate that is not a whole pixel"),
        (0, "x1", "10", "line 2: box 10,0,10,10 has no area"),
        (2, "class", "pnn", "line 4: class 'pnn' is not one of the 23 classes of 'cytologia', perhaps PNN"),
        (2, "class", "", "line 4: class is empty"),
        (0, "image", "", "line 2: NAME is empty"),
        (2, "image", "c.jpg", "line 4: NAME 'c.jpg' is not in the test table"),
        (2, "image", "a.jpg", "line 4: NAME is a.jpg, but trustii_id 3 belongs to b.jpg"),
    ],
)
def test_one_fault_is_one_finding(row: int, column: str, value: str, message: str) -> None:
    assert found(changed(row, column, value)) == [message]


def test_missing_row() -> None:
    assert found(GOOD[:2]) == ["trustii_id 3 of b.jpg has no row"]


def test_unknown_id_leaves_its_own_missing() -> None:
    assert found(changed(2, "id", "9")) == [
        "line 4: trustii_id 9 is not in the test table",
        "trustii_id 3 of b.jpg has no row",
    ]


def test_an_empty_id_does_not_turn_the_others_into_text() -> None:
    rows = [[f"{row[0]}.0", *row[1:]] for row in GOOD[:2]] + changed(2, "id", "")[2:]
    assert found(rows) == ["line 4: trustii_id is empty", "trustii_id 3 of b.jpg has no row"]


def test_repeated_id_and_box() -> None:
    assert found([*GOOD, GOOD[0]]) == [
        "line 5: trustii_id 1 is already in line 2",
        "line 5: box 0,0,10,10 PNN repeats an earlier row of a.jpg",
    ]


def test_box_outside_its_image() -> None:
    assert found(GOOD, {"a.jpg": (9, 10)}) == ["line 2: box 0,0,10,10 reaches outside its image of 9x10 px"]


def test_findings_come_by_line_and_those_without_last() -> None:
    rows = changed(1, "class", "x")[:2]
    rows[0][2] = "-3"
    assert [line[:6] for line in found(rows)] == ["line 2", "line 3", "trusti"]


def test_a_finding_tells_its_line() -> None:
    assert (Finding(0, "m").line, Finding(None, "m").line) == (2, None)
