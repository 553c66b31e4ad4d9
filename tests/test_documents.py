"""JSON and XML of other programs: what is wrong with them is one sentence, and nothing in them is followed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cytoyolo.documents import read_json, read_xml, xml_parts
from cytoyolo.errors import CytoyoloError, UsageError

DOCTYPE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>'


def refused(read: Callable[[Path], object], data: bytes, folder: Path) -> str:
    """The sentence about a file, without its path."""
    path = folder / "a"
    path.write_bytes(data)
    with pytest.raises(CytoyoloError) as fault:
        read(path)
    assert str(fault.value).startswith(str(path)) and "\n" not in str(fault.value)
    return str(fault.value).removeprefix(f"{path} ")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a":\n [1,}', "(line 2, column 5: expecting value)"),
        (b"[1] x", "(line 1, column 5: extra data)"),
        (b'{"a": {"boxes": [1], "boxes": []}}', "(the key 'boxes' comes twice in one object)"),
        (b"[" * 100_000, "(it is nested too deep)"),
        (b"9" * 5_000, "(it has a number with thousands of digits)"),
        (b'["\xe9"]', "(line 1: not plain UTF-8 text)"),
    ],
)
def test_json_that_cannot_be_read_is_one_sentence(data: bytes, problem: str, tmp_path: Path) -> None:
    assert refused(read_json, data, tmp_path) == f"is not valid JSON {problem}; export it again."


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"<a>\n<b></a>", "(line 2, column 6: mismatched tag)"),
        (b"<a>", "(line 1, column 4: no element found)"),
        (b"<a/><a/>", "(line 1, column 5: junk after document element)"),
        (b"<a>&b;</a>", "(line 1, column 4: undefined entity)"),
        (b"<a>\0</a>", "(line 1, column 4: not well-formed (invalid token))"),
        (b"<a>" * 200, "(it is nested too deep)"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "(unknown encoding: klingon)"),
    ],
)
@pytest.mark.parametrize("read", [read_xml, lambda path: list(xml_parts(path))])
def test_xml_that_cannot_be_read_is_one_sentence(read, data: bytes, problem: str, tmp_path: Path) -> None:
    assert refused(read, data, tmp_path) == f"is not valid XML {problem}; export it again."


@pytest.mark.parametrize("read", [read_json, read_xml, lambda path: list(xml_parts(path))])
@pytest.mark.parametrize("data", [b"", b" \n"])
def test_an_empty_file_is_called_empty(read, data: bytes, tmp_path: Path) -> None:
    assert refused(read, data, tmp_path) == "is empty; export it again."
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "missing")


@pytest.mark.parametrize("read", [read_xml, lambda path: list(xml_parts(path))])
def test_a_doctype_is_refused_before_its_entities_are_declared(read, tmp_path: Path) -> None:
    bombs = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(20))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "boom">{bombs}]><a>&e20;</a>'
    for text in (f"{DOCTYPE}<a>&b;</a>", bomb, '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>'):
        assert "it has a DOCTYPE" in refused(read, text.encode(), tmp_path)


def test_what_programs_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data in (b'{"a": NaN}', b'\xef\xbb\xbf{"a": NaN}', '{"a": NaN}'.encode("utf-16")):
        path.write_bytes(data)
        assert str(read_json(path)) == "{'a': nan}"
    path.write_text('{"a": 1, "a": 1}')
    assert read_json(path) == {"a": 1}
    text = '<?xml version="1.0" encoding="{}"?><a><b name="é"/>text<c><d/></c></a>'
    for encoding in ("utf-8", "utf-16", "latin-1"):
        path.write_bytes(text.format(encoding).encode(encoding))
        assert read_xml(path)[0].get("name") == "é" and read_xml(path)[1][0].tag == "d"
        assert [(part.tag, len(part)) for part in xml_parts(path)] == [("a", 0), ("b", 0), ("c", 1)]


def test_the_parts_of_a_large_file_are_forgotten_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"<a>" + b"<b><c/></b>" * 200_000 + b"</a>")
    parts = xml_parts(path)
    root = next(parts)
    held = [(len(root), len(part)) for part in parts]
    assert set(held) <= {(0, 1), (1, 1)} and len(held) == 200_000  # the root holds at most the next part
