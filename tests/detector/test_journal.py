"""The journal of a long prediction: what is kept of it, and what its memory is."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.detector.journal import JOURNAL, open_journal
from cytoyolo.detector.resumable import _names_sha256
from cytoyolo.tables.table import sha256


def line_about(name, problem=""):
    return json.dumps({"name": name, "state": [], "size": [8, 8], "problem": problem, "found": ""}).encode() + b"\n"


@pytest.mark.parametrize("count", range(5))
def test_what_is_kept_is_gone_on_with_byte_for_byte(tmp_path, count):
    names = ["a.png", "b/ü.png", "c.png", "d.png"]
    lines = [line_about(name, "is broken" if name == "c.png" else "") for name in names]

    def opened():
        return open_journal(tmp_path / "out.partial", {"facts": 1}, ("LY",), tmp_path, names, anew=False)

    with opened() as journal:
        for line in lines:
            journal.copy(line)
        whole = (tmp_path / "out.partial" / JOURNAL).read_bytes()
        journal.keep(count)
        assert journal.done == count and list(journal.lines()) == lines[:count]
        assert journal.failures == ({"c.png": "is broken"} if count > 2 else {})
    with (tmp_path / "out.partial" / JOURNAL).open("ab") as file:
        file.write(b'{"name": "b')  # a kill
    with opened() as journal:
        assert journal.done == count
        for line in lines[count:]:
            journal.copy(line)
        assert (tmp_path / "out.partial" / JOURNAL).read_bytes() == whole


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_the_fingerprint_of_names_is_that_of_their_lines(names):
    assert _names_sha256(names) == sha256("\n".join(names).encode())


@pytest.mark.slow
def test_the_memory_of_a_journal_does_not_grow_with_its_images(tmp_path):
    names = [f"{number:06d}.png" for number in range(20_000)]
    with open_journal(tmp_path / "out.partial", {"facts": 1}, ("LY",), tmp_path, names, anew=False) as journal:
        journal.copy(line_about(names[0]))
        tracemalloc.start()
        for name in names[1:]:
            journal.copy(line_about(name))
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 20_000
