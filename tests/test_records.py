"""Tables line by line: everything comes back byte for byte, and a bad line spoils no other."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.records import SchemaError, join_line, parse_records, split_line, split_lines

HEADER = "NAME,x1,y1,x2,y2,class"
COLUMNS = HEADER.split(",")
# What a CSV may hold between its line ends; NUL and a byte-order mark are refused.
TEXT = st.text(st.characters(blacklist_characters="\0\r\n\ufeff", blacklist_categories=("Cs",)), max_size=30)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(st.lists(st.tuples(TEXT, ENDS), min_size=1, max_size=12), ENDS, st.booleans())
def test_any_table_comes_back_byte_for_byte(lines: list[tuple[str, str]], end: str, cut: bool) -> None:
    text = HEADER + end + "".join(line + tail for line, tail in lines)
    data = (text.rstrip("\r\n") if cut and lines[-1][0] else text).encode()
    records = parse_records(Path("t.csv"), data, COLUMNS)
    assert records.to_bytes() == data
    assert len(records.texts) == len(records.cells) == len(records.ends)
    assert all(len(cells) == 6 for cells in records.cells)


@given(st.lists(st.lists(TEXT, min_size=6, max_size=6), min_size=1, max_size=8))
def test_values_are_those_of_pythons_csv_reader(rows: list[list[str]]) -> None:
    lines = [join_line(row) for row in rows]
    assert [split_line(line) for line in lines] == rows
    assert list(csv.reader([f"{line}\n" for line in lines], strict=True)) == rows
    records = parse_records(Path("t.csv"), "\n".join([HEADER, *lines]).encode(), COLUMNS)
    assert records.cells == rows and not records.broken


@given(TEXT)
def test_a_line_never_goes_on_in_the_next(text: str) -> None:
    data = f"{HEADER}\n{text}\na.jpg,1,2,3,4,PNN\n".encode()
    assert parse_records(Path("t.csv"), data, COLUMNS).cells[1] == ["a.jpg", "1", "2", "3", "4", "PNN"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "fewer than 6 columns"),
        ("a.jpg", "fewer than 6 columns"),
        ("a.jpg,1,2,3,4,PNN,", "more than 6 columns"),
        ('"a.jpg,1,2,3,4,PNN', "a quote that does not close in its line"),
        ('"a"b.jpg,1,2,3,4,PNN', "not a CSV row (',' expected after '\"')"),
    ],
)
def test_a_broken_line_says_why_and_holds_nothing(line: str, fault: str) -> None:
    records = parse_records(Path("t.csv"), f"{HEADER}\n{line}\nb.jpg,1,2,3,4,EO\n".encode(), COLUMNS)
    assert records.broken == {0: fault}
    assert records.cells[0] == [""] * 6


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_with_or_without_its_end(end: str) -> None:
    assert split_lines(f"a\r\nb{end}") == (["a", "b"], ["\r\n", end])


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\xef\xbb\xbf" + HEADER.encode(), b"a,b\n1,2\n", HEADER.encode(), b'"' + HEADER.encode()]
)
def test_a_file_that_is_no_such_table_is_refused(data: bytes) -> None:
    with pytest.raises(SchemaError, match=r"^t\.csv"):
        parse_records(Path("t.csv"), data, COLUMNS)
