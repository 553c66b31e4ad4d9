"""Names in order, on disk: the same as sorted(set(names)), in memory that does not grow."""

import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.images.sorted_names import NameSorter, SortedNames, repeated

# Every text that UTF-8 can hold, as file names have no NUL.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)


def made(names: list[str]) -> SortedNames:
    sorter = NameSorter()
    for name in names:
        sorter.add(name)
    return sorter.sorted()


@given(st.lists(TEXTS))
def test_they_are_the_sorted_set(names):
    right, found = sorted(set(names)), made(names)
    assert len(found) == len(right) and list(found) == right
    assert [found[at] for at in range(-len(right), len(right))] == right + right


@given(st.lists(TEXTS), st.slices(8))
def test_slices_are_those_of_a_list(names, part):
    assert made(names)[part] == sorted(set(names))[part]


def test_a_place_outside_is_an_error():
    for at in (-4, 3):
        with pytest.raises(IndexError):
            made(["a", "b", "c"])[at]


@given(st.lists(TEXTS))
def test_repeated_names_are_those_of_a_counter(names):
    assert repeated(names) == {name for name, count in Counter(names).items() if count > 1}


def test_more_names_than_are_read_at_once():
    names = [f"{number:05d}.png" for number in range(4321)]
    found = made(names[::-1] + names[:100])
    assert list(found) == names and [found[at] for at in range(len(names))] == names
    assert found[998:2003] == names[998:2003] and found[4000] == names[4000] and found[3] == names[3]


def test_threads_share_them():
    names = [f"{number:05d}.png" for number in range(5000)]
    found = made(names)
    with ThreadPoolExecutor(4) as pool:
        several = pool.map(lambda start: [found[at] for at in range(start, 5000, 7)], range(7))
    assert list(several) == [names[start::7] for start in range(7)]


IN_A_PROCESS = """
import re, resource, sys
from pathlib import Path
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.sorted_names import NameSorter, repeated

count, limit = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    sorter = NameSorter()
    for number in range(count):
        sorter.add(f"slide{number % 97:05d}/{number:08d}.jpg")
    names = sorter.sorted()
    assert sum(1 for _ in names) == len(names) == count and not repeated(names)
except CytoyoloError as error:
    print(error)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def in_a_process(count: int, limit: int, temporary: Path) -> tuple[str, float]:
    """What a process with `count` names says, and its peak memory in MB. No file may be longer than `limit` bytes."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, str(count), str(limit)],
        env={**os.environ, "TMPDIR": str(temporary)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not list(temporary.iterdir())
    return done.stdout, int(done.stderr) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is read in Linux's way")
def test_memory_does_not_grow_with_their_number(tmp_path):
    (_, few), (_, many) = (in_a_process(count, -1, tmp_path) for count in (100_000, 400_000))
    assert many - few < 2  # a list takes 27 MB more


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited in the way of POSIX")
def test_a_full_disk_is_told(tmp_path):
    said, _ = in_a_process(400_000, 1_000_000, tmp_path)
    assert re.fullmatch(r"the list of the images' names can't be kept .* TMPDIR to a folder of another disk\.\n", said)
