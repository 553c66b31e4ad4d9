"""Tables line by line: everything comes back byte for byte, and a bad line spoils no other."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cytoyolo.spec import load_spec
from cytoyolo.tables.dialect import PLAIN, SchemaError, split_lines
from cytoyolo.tables.records import Records, parse_records
from cytoyolo.tables.table import LABEL_ROLES, XYXY

HEADER = "NAME,x1,y1,x2,y2,class"
COLUMNS = load_spec("cytologia").column_map(*LABEL_ROLES)
ROW = "a.jpg,1,2,30,40,PNN"
# What a CSV may hold between its line ends; a NUL is refused.
TEXT = st.text(st.characters(blacklist_characters="\0\r\n\ufeff", blacklist_categories=("Cs",)), max_size=30)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def parse(data: str | bytes, **options: object) -> Records:
    return parse_records(Path("t.csv"), data.encode() if isinstance(data, str) else data, COLUMNS, XYXY, **options)


def refusal(data: str | bytes) -> str:
    with pytest.raises(SchemaError) as caught:
        parse(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("between", [",", ", "])
@given(st.lists(st.tuples(TEXT, ENDS), min_size=1, max_size=12), ENDS, st.booleans())
def test_any_table_comes_back_byte_for_byte(between: str, lines: list[tuple[str, str]], end: str, cut: bool) -> None:
    text = HEADER.replace(",", between) + end + "".join(line + tail for line, tail in lines)
    data = (text.rstrip("\r\n") if cut and lines[-1][0] else text).encode()
    assume(any(re.search(r'[^\s,"]', line) for line, _ in lines))  # else it has no rows
    records = parse(data)
    assert records.to_bytes() == data
    assert len(records.texts) == len(records.cells) == len(records.ends)
    assert all(len(cells) == 6 for cells in records.cells)


@given(st.lists(st.lists(TEXT, min_size=6, max_size=6), min_size=1, max_size=8))
def test_values_are_those_of_pythons_csv_reader(rows: list[list[str]]) -> None:
    lines = [PLAIN.join(row) for row in rows]
    assert [PLAIN.split(line) for line in lines] == rows
    assert list(csv.reader([f"{line}\n" for line in lines], strict=True)) == rows
    assume(any("".join(row).strip() for row in rows))
    records = parse_records(Path("t.csv"), "\n".join([HEADER, *lines]).encode(), COLUMNS)
    assert not records.broken
    kept = [row for number, row in enumerate(records.cells) if number not in records.blank]
    assert kept == [row for row in rows if "".join(row).strip()]


@given(TEXT)
def test_a_line_never_goes_on_in_one_that_is_a_row(text: str) -> None:
    assert parse(f"{HEADER}\n{text}\na.jpg,1,2,3,4,PNN\n").cells[1] == ["a.jpg", "1", "2", "3", "4", "PNN"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a.jpg", "fewer than 6 columns"),
        ("a.jpg,1,2,3,4,PNN,", "more than 6 columns"),
        ('"a.jpg,1,2,3,4,PNN', "a quote that does not close in its line"),
        ('"a"b.jpg,1,2,3,4,PNN', "not a CSV row (',' expected after '\"')"),
    ],
)
def test_a_broken_line_says_why_and_holds_nothing(line: str, fault: str) -> None:
    records = parse(f"{HEADER}\n{line}\nb.jpg,1,2,3,4,EO\n")
    assert records.broken == {0: fault}
    assert records.cells[0] == [""] * 6


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_with_or_without_its_end(end: str) -> None:
    assert split_lines(f"a\r\nb{end}") == (["a", "b"], ["\r\n", end])


@pytest.mark.parametrize(
    "data",
    [
        *[b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf" + HEADER.encode(), b"a,b\n1,2\n", HEADER.encode()],
        *[b'"' + HEADER.encode(), b"\xff\xfe\n\0", b"\xff\xfea", f"{HEADER}\n{ROW}".encode("utf-16-le"), b"sep=;\n"],
    ],
)
def test_a_file_that_is_no_such_table_is_refused(data: bytes) -> None:
    assert refusal(data).startswith("t.csv")


# Tables as other programs write them

FIRST, SECOND = ["a.jpg", "1", "2", "30", "40", "PNN"], ["b.jpg", "1.5", "2", "30.25", "40", "EO"]


@pytest.mark.parametrize(
    "text",
    [
        "NAME;x1;y1;x2;y2;class\na.jpg;1;2;30;40;PNN\nb.jpg;1,5;2;30,25;40;EO\n",
        "NAME\tx1\ty1\tx2\ty2\tclass\na.jpg\t1\t2\t30\t40\tPNN\nb.jpg\t1,5\t2\t30,25\t40\tEO\n",
        "NAME|x1|y1|x2|y2|class\na.jpg|1|2|30|40|PNN\nb.jpg|1.5|2|30.25|40|EO\n",
        'sep=;\nNAME;x1;y1;x2;y2;class\na.jpg;1;2;30;40;PNN\n"b.jpg";"1,5";2;30,25;40;EO\n',
        'NAME,x1,y1,x2,y2,class\na.jpg,1,2,30,40,PNN\nb.jpg,"1,5",2,"30,25",40,EO\n',
        'NAME, "x1", "y1", "x2", "y2", "class"\na.jpg, 1, 2, 30, 40, PNN\n"b.jpg", 1.5, 2, 30.25, 40, "EO"\n',
        "NAME, x1, y1, x2, y2, class\n\na.jpg, 1, 2, 30, 40, PNN\n, , , , , \nb.jpg, 1.5, 2, 30.25, 40, EO\n\n \n",
        "Name,X1, Y1 ,x2,y2,CLASS\na.jpg,1,2,30,40,PNN\nb.jpg,1.5,2,30.25,40,EO\n",
        "NAME,x1,y1,x2,y2,class\n\na.jpg,1,2,30,40,PNN\n,,,,,\nb.jpg,1.5,2,30.25,40,EO\n,,,,,\n\n   \n",
        "NAME,x1,y1,x2,y2,class,\na.jpg,1,2,30,40,PNN,\nb.jpg,1.5,2,30.25,40,EO,\n",
        "NAME,x1,y1,x2,y2,class\na.jpg,1,2,30,40,PNN,\nb.jpg,1.5,2,30.25,40,EO,\n",
        '"","NAME","x1","y1","x2","y2","class"\n"1","a.jpg",1,2,30,40,"PNN"\n"2","b.jpg",1.5,2,30.25,40,"EO"\n',
        '"NAME","x1","y1","x2","y2","class"\n"1","a.jpg",1,2,30,40,"PNN"\n"2","b.jpg",1.5,2,30.25,40,"EO"\n',
        "Unnamed: 0,NAME,x1,y1,x2,y2,class\n0,a.jpg,1,2,30,40,PNN\n1,b.jpg,1.5,2,30.25,40,EO\n",
        'note,NAME,x1,y1,x2,y2,class\n"one\ntwo",a.jpg,1,2,30,40,PNN\n"x ""y""\r\n",b.jpg,1.5,2,30.25,40,EO\n',
        "NAME,x1,y1,x2,y2,class,width,note\na.jpg,1,2,30,40,PNN,320,é\nb.jpg,1.5,2,30.25,40,EO\n",
        "class,width,y2,x2,y1,x1,NAME\nPNN,320,40,30,2,1,a.jpg\nEO,320,40,30.25,2,1.5,b.jpg\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_same_table_in_many_forms(text: str, encoding: str, end: str) -> None:
    data = text.replace("\n", end).encode(encoding)
    records = parse(data)
    rows = [[records.column(role)[row] for role in LABEL_ROLES] for row in range(len(records.cells))]
    assert [row for number, row in enumerate(rows) if number not in records.blank] == [FIRST, SECOND]
    assert not records.broken and records.to_bytes() == data


WITH_ID = f"trustii_id,{HEADER}"
OF_R = ROW.replace("a.jpg", '"a.jpg"').replace("PNN", '"PNN"')


@pytest.mark.parametrize(
    ("text", "numbered"),
    [
        # one row of R
        (f'{HEADER}\n"1",{OF_R}\n', True),
        (f'{HEADER}\n"7",{OF_R}\n', True),
        # R, and no row has a value in the last column
        (f'{HEADER},note\n"1",{OF_R},""\n', True),
        (f'{HEADER},note\n"7",{OF_R},""\n', True),
        (f'{HEADER},note\n"1",{OF_R},""\n"2",{OF_R},""\n', True),
        (f"{HEADER.replace(',', ';')};note\n1;a.jpg;1;2;30;40;PNN;\n", True),
        # R, with gaps, missing values or names that are numbers
        (f"{HEADER}\n2,{ROW}\n5,{ROW}\n", True),
        (f"{HEADER},note\n2,{ROW},NA\n5,{ROW},NA\n", True),
        (f"{WITH_ID}\n2,17,{ROW}\n5,18,a.jpg,NA,2,30,40,PNN\n", True),
        (f"{HEADER}\n1,17,1,2,30,40,PNN\n2,18,1,2,30,40,PNN\n", True),
        # a last delimiter
        (f"{HEADER}\n{ROW},\n", False),
        (f"{HEADER}\n1,1,2,30,40,PNN,\n", False),
        (f"{WITH_ID}\n1,{ROW},\n", False),
        (f"{WITH_ID}\n5,{ROW},\n9,{ROW},\n", False),
    ],
)
def test_row_numbers_are_told_from_a_last_delimiter(text: str, numbered: bool) -> None:
    records = parse(text)
    assert records.numbered is numbered and not records.broken
    assert {*map(len, records.cells)} == {text.split("\n")[0].replace(";", ",").count(",") + 2}
    assert records.column("class")[0] == "PNN" and records.column("y2")[0] == "40"


@pytest.mark.parametrize("ids", [(5, 9, 12), (1, 2, 3), (0, 1, 2)])
@pytest.mark.parametrize(
    ("header", "rows"),
    [
        # a decimal comma
        (WITH_ID, ["0.png,10,5,20,30,40,PNN", "1.png,10,5,20,30,40,LY", "2.png,10,5,20,30,40,PNN"]),
        (WITH_ID, ["0.png,wide,5,20,30,40,PNN", "1.png,10,5,20,30,40,LY", "2.png,10,5,20,30,40,PNN"]),
        ("id,NAME,class,x1,y1,x2,y2", ["0.png,PNN,1,5,2,30,40", "1.png,PNN,1,5,2,30,40", "2.png,LY,1,5,2,30,40"]),
        # a comment whose column has no name
        (WITH_ID, ["0.png,1,2,30,40,PNN,ok", "1.png,1,2,30,40,LY,", "2.png,1,2,30,40,PNN,"]),
        (f"{WITH_ID},note", ["0.png,1,2,30,40,PNN,,ok", "1.png,1,2,30,40,LY,,", "2.png,1,2,30,40,PNN,,"]),
    ],
)
def test_an_id_is_not_taken_for_a_row_number(ids: tuple[int, ...], header: str, rows: list[str]) -> None:
    lines = [f"{number},{row}" for number, row in zip(ids, rows, strict=True)]
    assert "if its numbers have decimal commas" in refusal("\n".join([header, *lines]))


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (f"{HEADER}\n{ROW}\n\n,,,,,\n", ()),
        (f"{HEADER}\n\n{ROW}\n", ("an empty line is skipped",)),
        (
            "Name;X1;y1;x2;y2;class;width;\na.jpg;1,5;2;30;40;PNN;320;\n",
            (
                "semicolons stand between the columns",
                "decimals have a comma",
                "columns are named in another way ('Name' is NAME; 'X1' is x1)",
                "columns are not used (width; a column without a name)",
            ),
        ),
        (f"{HEADER}\né{ROW}\n".encode("latin-1"), ("the text is Windows-1252",)),
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), ("the text is UTF-16",)),
    ],
)
def test_what_is_unusual_is_said(text: str | bytes, notes: tuple[str, ...]) -> None:
    assert parse(text).notes == notes


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("1,234;2;1,500;40", "'1,234', whose comma may stand before decimals or between thousands"),
        ("1.234;2;1.500;40", "'1.234', whose point may stand before decimals or between thousands"),
        ("1.234;2,5;1.500;40", "'1.234', whose point may"),
    ],
)
def test_a_mark_between_thousands_is_never_guessed(numbers: str, message: str) -> None:
    assert message in refusal(f"NAME;x1;y1;x2;y2;class\na.jpg;{numbers};PNN\n")


@pytest.mark.parametrize(
    "numbers", ["1.234;2.000;3.500;4.125", "12.5;2;3.500;40", "0,125;2;30;40", "1,234;2,100;9,5;40"]
)
def test_decimals_that_are_certain_are_read(numbers: str) -> None:
    records = parse(f"NAME;x1;y1;x2;y2;class\na.jpg;{numbers};PNN\n")
    assert records.cells[0][1:5] == numbers.replace(",", ".").split(";")


def test_only_numbers_lose_their_commas() -> None:
    records = parse("NAME;x1;y1;x2;y2;class\n1,5;1,5;2;30;40;PNN\n")
    assert records.cells == [["1,5", "1.5", "2", "30", "40", "PNN"]]
    assert records.row_text(["1,5", "0.5", "2", "30", "40", "PNN"], XYXY) == "1,5;0,5;2;30;40;PNN"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER},x1\n{ROW},1\n", "has the column x1 twice; keep one of them"),
        (f"Name,name{HEADER[4:]}\na.jpg,{ROW}\n", "has the column NAME twice"),
        (f"{ROW}\n{ROW}\n", "which is already a row; put the names of its columns above it"),
        (f"Table 1\n{HEADER}\n{ROW}\n", "its columns are named in line 2, so delete the lines above it"),
        (f"# made by hand\n\n{HEADER}\n{ROW}\n", "its columns are named in line 3"),
        (HEADER.replace(",", "  ") + "\na.jpg 1 2 3 4 PNN\n", "with blanks between its columns; save it with commas"),
        (f'"{HEADER}"\n"{ROW}"\n', "which is in quotes as a whole"),
        (
            "filename,width,height,class,xmin,ymin,xmax,ymax\n",
            "columns: {image: filename, x1: xmin, y1: ymin, x2: xmax, y2",
        ),
        ("filename,region_count,region_shape_attributes\n", "is a table of VIA (VGG Image Annotator)"),
        (f"{HEADER.replace('class', 'label')}\n{ROW}\n", "dataset='MINE.yaml' as columns: {class: label}"),
        (f"{HEADER.replace(',class', '')}\na.jpg,1,2,3,4\n", "(it lacks class)"),
        ("NAME\na.jpg\n", "(it lacks x1,y1,x2,y2,class)"),
        (f"{HEADER}\na.jpg,1,5,2,5,30,40,PNN\nb.jpg,1,5,2,5,30,40,PNN\n", "has more values in each row than columns"),
        (
            f"{HEADER}\né{ROW}\n".encode("cp437"),
            "line 2, is not UTF-8; save the table as UTF-8 (in Excel: 'CSV UTF-8')",
        ),
    ],
)
def test_what_can_not_be_read_says_what_to_do(text: str | bytes, message: str) -> None:
    assert message in refusal(text)
