"""Which file of an image folder a name means, and when it means none."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.images.names import match_names

NFC, NFD = "lame_r\u00e9f.png", unicodedata.normalize("NFD", "lame_r\u00e9f.png")


@pytest.mark.parametrize(
    ("name", "files", "file", "how"),
    [
        ("a.png", ["a.png", "A.png"], "a.png", None),
        (NFC, [NFD], NFD, "spelling"),
        (NFD, [NFC], NFC, "spelling"),
        (" a.png ", ["a.png"], "a.png", "spelling"),
        ("./a.png", ["a.png", "b.png"], "a.png", "spelling"),
        (".\\s1\\a.png", ["s1/a.png", "s2/a.png"], "s1/a.png", "spelling"),
        ("s1//a.png", ["s1/a.png", "s2/a.png"], "s1/a.png", "spelling"),
        ("s1/x/../a.png", ["s1/a.png", "s2/a.png"], "s1/a.png", "spelling"),
        ("a%20b.png", ["a b.png"], "a b.png", "spelling"),
        ("100%.png", ["100%.png"], "100%.png", None),
        ('"a.png"', ["a.png"], "a.png", "spelling"),
        ("A.PNG", ["a.png"], "a.png", "case"),
        ("STRASSE.png", ["stra\u00dfe.png"], "stra\u00dfe.png", "case"),
        ("S1/A.png", ["s1/a.png", "s2/a.png"], "s1/a.png", "case"),
        ("a", ["a.png"], "a.png", "extension"),
        ("a.jpeg", ["a.jpg"], "a.jpg", "extension"),
        ("slide1.2", ["slide1.2.png", "slide1.png"], "slide1.2.png", "extension"),
        ("s1/a.tif", ["s1/a.png", "s2/a.tif"], "s1/a.png", "extension"),
        ("C:\\Users\\anna\\img\\a.png", ["a.png", "b.png"], "a.png", "folder"),
        ("C:/Users\\anna/img\\A.PNG", ["a.png", "b.png"], "a.png", "folder"),
        ("\\\\server\\share\\a.png", ["a.png"], "a.png", "folder"),
        ("/mnt/anna/a.png", ["a.png"], "a.png", "folder"),
        ("../img/a.png", ["a.png"], "a.png", "folder"),
        ("file:///C:/Users/anna/a%20b.png", ["a b.png"], "a b.png", "folder"),
        ("https://host/img/a.png?X-Token=b.png", ["a.png", "b.png"], "a.png", "folder"),
        ("/data/local-files/?d=s1%2Fa.png", ["a.png"], "a.png", "folder"),
        ("a.png", ["images/dataset_cytologia/a.png"], "images/dataset_cytologia/a.png", "folder"),
        ("tree/s1/a.png", ["s1/a.png", "s2/a.png"], "s1/a.png", "folder"),
        ("C:\\tree\\s1\\a.png", ["s1/a.png", "s2/a.png"], "s1/a.png", "folder"),
        ("s1/a.png", ["set/s1/a.png", "set/s2/a.png"], "set/s1/a.png", "folder"),
        ("C:\\img\\a.tif", ["a.png"], "a.png", "folder"),
        ("C:\\a.png", ["A.png", "a.png"], "a.png", "folder"),
        ("12", ["00012.jpg", "00120.jpg"], "00012.jpg", "number"),
        ("12.0", ["00012.jpg"], "00012.jpg", "number"),
        ("12,0", ["00012.jpg"], "00012.jpg", "number"),
        ("12.jpg", ["00012.jpg"], "00012.jpg", "number"),
        ("7", ["07.jpg", "70.jpg"], "07.jpg", "number"),
        ("1E+05", ["100000.jpg", "100001.jpg"], "100000.jpg", "number"),
        ("1.23457E+11", ["123456789012.jpg", "987654321098.jpg"], "123456789012.jpg", "number"),
        ("'00012", ["00012.jpg"], "00012.jpg", "extension"),
        ('="00012"', ["00012.jpg"], "00012.jpg", "extension"),
        ("s1/12", ["s1/00012.jpg", "s2/00012.jpg"], "s1/00012.jpg", "number"),
    ],
)
def test_a_name_finds_its_file(name, files, file, how):
    found = match_names([name], files)
    assert found.file == {name: file}
    assert found.how == ({} if how is None else {name: how})
    assert not found.candidates


@pytest.mark.parametrize(
    ("name", "files", "candidates"),
    [
        ("b.png", ["a.png"], ()),
        ("a.PNG", ["a.png", "A.png"], ("A.png", "a.png")),
        ("a", ["a.jpg", "a.png"], ("a.jpg", "a.png")),
        ("a.png", ["s1/a.png", "s2/a.png"], ("s1/a.png", "s2/a.png")),
        ("C:\\a.png", ["s1/a.png", "s2/a.png"], ("s1/a.png", "s2/a.png")),
        ("12", ["0012.jpg", "00012.jpg"], ("00012.jpg", "0012.jpg")),
        ("1.23457E+11", ["123456789012.jpg", "123456789013.jpg"], ("123456789012.jpg", "123456789013.jpg")),
        ("12,345", ["12345.jpg"], ()),
        ("", ["a.png"], ()),
        ("..", ["a.png"], ()),
        ("/", ["a.png"], ()),
        # The folder is there and has no such file: one of another folder is another image.
        ("s1/a.png", ["s1/b.png", "s2/a.png"], ()),
    ],
)
def test_a_name_that_may_mean_several_files_or_none_means_none(name, files, candidates):
    found = match_names([name], files)
    assert found.file == {} and found.how == {}
    assert found.candidates == {name: candidates}


@pytest.mark.parametrize(
    ("names", "files", "lost"),
    [
        (["a.jpg", "a.png"], ["a.jpg"], ["a.png"]),
        (["s1/a.png", "s2/a.png"], ["a.png"], ["s1/a.png", "s2/a.png"]),
        (["C:\\s1\\a.png", "C:\\s2\\a.png"], ["a.png"], ["C:\\s1\\a.png", "C:\\s2\\a.png"]),
        (["s1/a.png", "a.png"], ["a.png"], ["s1/a.png"]),
        (["12", "012"], ["00012.jpg"], []),
        (["12.jpg", "00012.jpg"], ["00012.jpg"], ["12.jpg"]),
    ],
)
def test_names_that_contradict_each_other_do_not_share_a_file(names, files, lost):
    found = match_names(names, files)
    assert sorted(found.candidates) == sorted(lost)
    assert all(found.candidates[name] == (files[0],) for name in lost)


@pytest.mark.parametrize(
    ("names", "files", "lost"),
    [
        (["slide2/1.jpg", "slide2/2.jpg", "slide1/3.jpg"], ["slide1/1.jpg", "slide1/2.jpg", "slide1/3.jpg"], [0, 1]),
        (["C:\\scan\\slide2\\1.jpg", "C:\\scan\\slide1\\3.jpg"], ["slide1/1.jpg", "slide1/3.jpg"], [0]),
        (["slide2/1.tif", "Slide1/3.JPG"], ["slide1/1.jpg", "slide1/3.jpg"], [0]),
        (["slide2/1", "slide1/3.jpg"], ["slide1/0001.jpg", "slide1/3.jpg"], [0]),
        (["slide2/1.jpg", "slide1/3.jpg"], ["set/slide1/1.jpg", "set/slide1/3.jpg"], [0]),
        # Folders of the same name in two folders are different ones too.
        (["p2/slide1/1.jpg", "p1/slide1/3.jpg"], ["p1/slide1/1.jpg", "p1/slide1/3.jpg"], [0]),
        (["C:\\img\\1.jpg", "sub/3.jpg"], ["sub/1.jpg", "sub/3.jpg"], [0]),
        # Names of other machines, renamed folders, and names without a folder contradict no folder.
        (["C:\\img\\1.jpg", "C:\\img\\3.jpg"], ["sub/1.jpg", "sub/3.jpg"], []),
        (["C:\\img\\1.jpg", "3.jpg"], ["1.jpg", "3.jpg"], []),
        (["slide2/1.jpg", "slide2/3.jpg"], ["slide1/1.jpg", "slide1/3.jpg"], []),
        (["C:\\scan\\s1\\1.jpg", "C:\\scan\\s1\\3.jpg"], ["set/s1/1.jpg", "set/s1/3.jpg"], []),
        (["slide2/1.jpg", "slide3/2.jpg"], ["slide1/1.jpg", "slide3/2.jpg"], []),
        (["1.jpg", "sub/3.jpg"], ["sub/1.jpg", "sub/3.jpg"], []),
        (["s1/1.jpg", "set/s1/3.jpg"], ["set/s1/1.jpg", "set/s1/3.jpg"], []),
        (["C:\\scan\\a%20b\\1.jpg", "a%20b/3.jpg"], ["a%20b/1.jpg", "a%20b/3.jpg"], []),
    ],
)
@pytest.mark.parametrize("step", [1, -1])
def test_a_name_of_another_folder_than_the_one_other_names_give_has_no_file(names, files, lost, step):
    found = match_names(names[::step], files)
    fitting = dict(zip(names, files, strict=False))
    assert found.candidates == {names[place]: (fitting[names[place]],) for place in lost}
    assert found.file == {name: file for name, file in fitting.items() if name not in found.candidates}
    assert found.how.keys() <= found.file.keys()


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "./a.png", "A.PNG", " a.png"],
        ["a.png", "a"],
        ["a.png", "C:\\Users\\anna\\a.png"],
        ["C:\\img\\a.png", "c:/IMG/a.png"],
        ["7", "7.0"],
    ],
)
def test_names_that_can_mean_the_same_image_share_its_file(names):
    files = ["a.png", "007.jpg"]
    assert not match_names(names, files).candidates


PART = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NAME = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(st.lists(NAME, max_size=6), st.sets(NAME, max_size=6))
def test_each_name_has_a_file_or_none_and_an_own_name_is_never_changed(names, files):
    found = match_names(names, files)
    assert found.file.keys() | found.candidates.keys() == set(names)
    assert not found.file.keys() & found.candidates.keys()
    assert set(found.file.values()) <= files
    assert all(found.file[name] == name for name in names if name in files)
    assert found.how.keys() == {name for name, file in found.file.items() if name != file}


FOLDER = st.lists(st.sampled_from(["s1", "s2", "S1", "C:"]), max_size=2)
SLIDE_NAME = st.builds(
    lambda folders, last: "/".join([*folders, last]), FOLDER, st.sampled_from(["1.png", "01.png", "2"])
)


@given(st.lists(SLIDE_NAME, max_size=6, unique=True), st.sets(SLIDE_NAME, max_size=6), st.randoms())
def test_the_order_of_names_changes_no_match(names, files, random):
    shuffled = random.sample(names, len(names))
    assert match_names(names, files) == match_names(shuffled, files)


def test_all_names_of_a_large_table_are_matched():
    files = frozenset(f"{number:06}.jpg" for number in range(50_000))
    assert len(match_names(files, files).file) == 50_000
    found = match_names([f"C:\\img\\{number}.jpg" for number in range(0, 50_000, 10)], files)
    assert found.file["C:\\img\\70.jpg"] == "000070.jpg" and not found.candidates
