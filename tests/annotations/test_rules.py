"""Each rule on tables made for it: what it finds, what it leaves alone, and where its bounds lie."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo import boxes
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import COLUMNS, Audited
from cytoyolo.annotations.folder_images import FolderImages
from cytoyolo.annotations.policy import load_policy
from cytoyolo.annotations.rules import RULES
from cytoyolo.annotations.rules.registry import REGISTERED, in_order
from cytoyolo.annotations.rules.statistics import robust_z
from cytoyolo.annotations.table import LabelTable
from cytoyolo.images.info import ImageInfo
from cytoyolo.spec import load_spec
from tests.properties import examples

SPEC = load_spec("cytologia")
HEADER = "NAME,x1,y1,x2,y2,class\n"
SIZE = (100, 80)


def no_copies(facts: Sequence[ImageInfo], distance: int, correlation: float, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=["image", "twin", "kind", "distance", "correlation", "turn", "group"])


@pytest.fixture(autouse=True)
def _images_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "find_duplicates", no_copies)


class Folder(FolderImages):
    """An image folder whose images are as they are said to be."""

    def __init__(self, images: dict[str, ImageInfo]) -> None:
        self.listing, self.images = frozenset(images), images

    def facts(self, names: Sequence[str], tested: Collection[str] = ()) -> dict[str, ImageInfo]:
        return {name: self.images[name] for name in names}


def table_of(rows: str, images: dict[str, ImageInfo] | None = None, test: tuple[str, ...] | None = None) -> LabelTable:
    table = LabelTable.parse(Path("t.csv"), (HEADER + rows).encode(), SPEC)
    return replace(table, folder=None if images is None else Folder(images), test=test)


def images(*names: str, **fields: object) -> dict[str, ImageInfo]:
    facts = {"format": "JPEG", "width": SIZE[0], "height": SIZE[1], "brightness": 120.0, "entropy": 7.0, "blur": 50.0}
    return {name: ImageInfo(Path(name), **(facts | fields)) for name in names}


def found(rule: str, table: LabelTable) -> list[tuple[int | None, str]]:
    """Line and name of each finding of a rule, all rules asked in their order."""
    findings = auditing.run(table, load_policy()).findings
    mine = findings[findings["rule"] == rule]
    return list(zip(mine["line"], mine["image"], strict=True))


def lines(rule: str, rows: str, known: dict[str, ImageInfo] | None = None) -> list[int | None]:
    return [line for line, _ in found(rule, table_of(rows, known))]


def changed_lines(audited: Audited) -> dict[str, list[int]]:
    """The lines that each rule's action changes, in the order of the changes."""
    lines: dict[str, list[int]] = {}
    for change in audited.table.lines.changes:
        lines.setdefault(change.rule, []).append(change.line)
    return lines


GOOD = "z.jpg,10,10,40,40,PNN\n"


def test_every_rule_has_its_place_and_its_words() -> None:
    assert list(RULES) != sorted(RULES) and {*RULES.values()} <= {*REGISTERED}
    for rule in RULES.values():
        assert len(rule.text) > 30 and rule.action in rule.actions
        assert rule.thresholds == {key: bounds.default for key, bounds in rule.bounds.items()}
        assert all(bounds.least <= bounds.default <= bounds.most for bounds in rule.bounds.values())
        assert ("off" in rule.actions) == (rule.about != "file")


def test_the_order_of_rules_is_theirs_and_not_that_of_imports() -> None:
    rules = list(RULES.values())
    assert list(in_order(rules[::-1])) == list(RULES)


def test_two_rules_of_one_place_are_an_error() -> None:
    rules = list(RULES.values())
    with pytest.raises(ValueError, match="'blank' and 'number' are both after 'broken-row'"):
        in_order([replace(rule, after="broken-row") if rule.name == "number" else rule for rule in rules])


@pytest.mark.parametrize("after", ["nothing", None, "leak"])
def test_a_rule_without_a_place_is_an_error(after: str | None) -> None:
    rules = [replace(rule, after=after) if rule.name == "rare-class" else rule for rule in RULES.values()]
    if after == "leak":  # its own place; the one after it goes round in a circle
        rules = [replace(rule, after="imbalance") if rule.name == "imbalance" else rule for rule in rules]
    with pytest.raises(ValueError, match=r"have no place in the order: .*imbalance"):
        in_order(rules)


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("broken-row", "a.jpg,1,2,30"),
        ("broken-row", "a.jpg,1,2,30,40,PNN,x"),
        ("blank", ",1,2,30,40,PNN"),
        ("blank", "a.jpg,1,2, ,40,PNN"),
        ("blank", "a.jpg,1,2,30,40,"),
        ("path", "../a.jpg,1,2,30,40,PNN"),
        ("path", "/etc/a.jpg,1,2,30,40,PNN"),
        ("path", "C:\\b\\a.jpg,1,2,30,40,PNN"),
        ("path", "a\t.jpg,1,2,30,40,PNN"),
        ("number", "a.jpg,1,2,thirty,40,PNN"),
        ("number", "a.jpg,1,2,inf,40,PNN"),
        ("number", "a.jpg,nan,2,30,40,PNN"),
        ("number", "a.jpg,1,2,1e7,40,PNN"),
        ("class-variant", "a.jpg,1,2,30,40,pnn"),
        ("class-variant", "a.jpg,1,2,30,40, Pnn"),
        ("unknown-class", "a.jpg,1,2,30,40,P N N"),
        ("inverted", "a.jpg,30,2,1,40,PNN"),
        ("inverted", "a.jpg,1,40,30,2,PNN"),
        ("outside", "a.jpg,-30,2,-1,40,PNN"),
        ("outside", "a.jpg,-30,2,0,40,PNN"),
        ("overhang", "a.jpg,-10,2,10,40,PNN"),
        ("mostly-outside", "a.jpg,-21,2,20,40,PNN"),
        ("zero-side", "a.jpg,1,2,1,40,PNN"),
        ("zero-side", "a.jpg,1,2,1.9,40,PNN"),
        ("tiny-side", "a.jpg,1,2,2,40,PNN"),
        ("tiny-side", "a.jpg,1,2,8.9,40,PNN"),
        ("fractional", "a.jpg,1,2,30.5,40,PNN"),
        ("repeated-row", "z.jpg,10,10,40.0,40,PNN"),
        ("near-same", "z.jpg,10,10,41,40,PNN"),
        ("two-classes", "z.jpg,10,10,41,40,EO"),
        ("overlap", "z.jpg,20,10,50,40,EO"),
        ("overlap", "z.jpg,20,10,50,40,PNN"),
    ],
)
def test_a_rule_of_the_table_finds_its_row_alone(rule: str, row: str) -> None:
    findings = auditing.run(table_of(f"{GOOD}{row}\n"), load_policy()).findings
    grave = findings[~findings["rule"].isin(["rare-class", "fractional"]) | (findings["rule"] == rule)]
    assert list(zip(grave["line"], grave["rule"], strict=True)) == [(3, rule)]


@pytest.mark.parametrize(
    "row",
    [
        "z.jpg,10,10,40,40,EO".replace("10,10", "40,40").replace("40,40,EO", "70,70,EO"),
        "a.jpg,0,0,100,80,PNN",
        "a.jpg,0,0,8,8,PNN",
        "b c.jpg,1,2,30,40,LyB",
        "a.jpg, 1,2,30,+40,PNN",
    ],
)
def test_a_sound_row_is_left_alone(row: str) -> None:
    findings = auditing.run(table_of(f"{GOOD}{row}\n"), load_policy()).findings
    assert set(findings["rule"]) <= {"rare-class"}


def test_each_rule_sees_what_the_earlier_ones_left() -> None:
    rows = "a.jpg,30,-4,1,40, pnn\na.jpg,1,-4,30,40,PNN\na.jpg,1,0,30,41,PNN\n"
    audited = auditing.run(table_of(rows), load_policy())
    assert [(change.rule, change.line) for change in audited.table.lines.changes] == [
        ("class-variant", 2), ("inverted", 2), ("overhang", 2), ("overhang", 3), ("repeated-row", 3), ("near-same", 4),
    ]  # fmt: skip
    assert audited.table.alive.tolist() == [True, False, False]
    assert audited.table.xyxy[0].tolist() == [1, 0, 30, 40]


def test_normalised_boxes_stop_the_table() -> None:
    rows = "".join(f"{name}.jpg,0.1,0.{name},0.5,0.9,PNN\n" for name in range(1, 9)) + GOOD
    audited = auditing.run(table_of(rows), load_policy())
    assert audited.stopping["rule"].tolist() == ["normalised"]
    assert "multiply x by the width" in audited.stopping["detail"].iloc[0]
    assert audited.not_run["overhang"] == "the table can't be used: normalised" and not audited.table.lines.changes


@pytest.mark.parametrize(("inverted", "stops"), [(9, False), (10, False), (11, True)])
def test_many_inverted_boxes_are_taken_for_widths_and_heights(inverted: int, stops: bool) -> None:
    rows = "".join(f"{index}.jpg,50,50,{30 if index < inverted else 70},90,PNN\n" for index in range(100))
    assert (found("xywh", table_of(rows)) == [(None, "")]) == stops
    assert bool(found("inverted", table_of(rows))) != stops


def _centred(form: str, n: int = 60) -> tuple[str, dict[str, ImageInfo]]:
    """Rows of single centred cells in a form, and their images; a few x,y,w,h have x2 < x1."""
    rng, rows = np.random.default_rng(0), []
    for index in range(n):
        width, height = rng.integers(140, 190, 2).tolist()
        x, y = rng.integers(70, 140, 2).tolist()
        x = width + 5 if index % 20 == 0 else x
        values = {
            "xyxy": (x, y, x + width, y + height),
            "xywh": (x, y, width, height),
            "centre": (x + width / 2, y + height / 2, width, height),
            "interleaved": (x, x + width, y, y + height),
            "per-cent": tuple(round(min(value, 360) / 3.6, 3) for value in (x, y, x + width, y + height)),
            "resized": (2 * x, 2 * y, 2 * (x + width), 2 * (y + height)),
        }[form]
        rows.append(f"{index}.jpg,{','.join(map(str, values))},PNN\n")
    return "".join(rows), images(*(f"{index}.jpg" for index in range(n)), width=360, height=360)


@pytest.mark.parametrize("rule", ["xywh", "centre", "interleaved", "per-cent", "resized"])
def test_boxes_of_another_form_stop_the_table_and_none_is_swapped(rule: str) -> None:
    rows, known = _centred(rule)
    audited = auditing.run(table_of(rows, known), load_policy())
    assert audited.stopping["rule"].tolist() == [rule] and not audited.table.lines.changes
    assert "60 lie in their images" in audited.stopping["detail"].iloc[0].replace("59", "60")


def test_corners_are_left_alone_whatever_is_known_of_the_images() -> None:
    rows, known = _centred("xyxy")
    for table in (table_of(rows, known), table_of(rows), table_of("".join(rows.splitlines(keepends=True)[:7]), known)):
        assert not auditing.run(table, load_policy()).stopping.size


@pytest.mark.parametrize(("form", "rule"), [("xywh", "xywh"), ("centre", "centre"), ("interleaved", "interleaved")])
def test_the_form_is_told_without_images_where_corners_are_inverted(form: str, rule: str) -> None:
    stopping = auditing.run(table_of(_centred(form)[0]), load_policy()).stopping
    assert stopping["rule"].isin(["xywh", "centre"] if form != "interleaved" else [rule]).all() and len(stopping) == 1


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f", "\u3000"])
def test_blanks_around_a_number_are_no_part_of_it(blank: str) -> None:
    audited = auditing.run(table_of(f"a.jpg,1{blank},{blank}2,30,40{blank},PNN\n"), load_policy())
    assert audited.table.xyxy.tolist() == [[1, 2, 30, 40]]
    assert "number" not in set(audited.findings["rule"])


def test_numbers_up_to_100_may_be_per_cent() -> None:
    assert found("unsure-form", table_of(_centred("per-cent")[0])) == [(None, "")]


def test_a_part_of_another_form_is_named() -> None:
    right, known = _centred("xyxy", 120)
    other = _centred("xywh", 120)[0].replace("PNN", "EO")
    rows = "".join((right.splitlines(keepends=True)[:60]) + other.splitlines(keepends=True)[60:])
    audited = auditing.run(table_of(rows, known), load_policy())
    assert audited.stopping["rule"].tolist() == ["mixed-forms"] and not audited.table.lines.changes
    assert "class EO: the boxes look like x,y,width,height" in audited.stopping["detail"].iloc[0]
    assert audited.stopping["value"].iloc[0] == "60 of 120 rows"


@pytest.mark.parametrize("right", [20, 30, 40])
@pytest.mark.parametrize("form", ["per-cent", "xywh", "resized"])
def test_half_a_small_table_in_another_form_is_named(form: str, right: int) -> None:
    rows, known = _centred("xyxy")
    rows = "".join(rows.splitlines(keepends=True)[:right] + _centred(form)[0].splitlines(keepends=True)[right:])
    audited = auditing.run(table_of(rows, known), load_policy())
    assert audited.stopping["rule"].tolist() == ["mixed-forms"] and not audited.table.lines.changes
    assert "lines 42 to 61: the boxes look like" in audited.stopping["detail"].iloc[0]


def test_a_folder_of_another_form_is_named() -> None:
    numbers = [row.partition(",")[2] for row in _centred("xyxy")[0].splitlines(keepends=True)]
    others = [row.partition(",")[2] for row in _centred("per-cent")[0].splitlines(keepends=True)]
    names = [f"s{index % 2}/{index}.jpg" for index in range(60)]
    rows = "".join(f"{name},{(numbers, others)[i % 2][i]}" for i, name in enumerate(names))
    audited = auditing.run(table_of(rows, images(*names, width=360, height=360)), load_policy())
    assert audited.stopping["rule"].tolist() == ["mixed-forms"]
    assert "images in s1: the boxes look like x1,y1,x2,y2 in per cent" in audited.stopping["detail"].iloc[0]


@pytest.mark.parametrize(("turned", "said"), [(60, True), (55, True), (50, False)])
def test_y_that_may_be_counted_from_the_bottom_is_said(turned: int, said: bool) -> None:
    rows, known = _centred("xyxy")
    drawn = [row.split(",") for row in rows.splitlines()]
    for row in drawn[:turned]:
        row[2], row[4] = str(360 - int(row[2])), str(360 - int(row[4]))
    table = table_of("".join(",".join(row) + "\n" for row in drawn), known)
    assert bool(found("unsure-form", table)) == said and len(found("inverted", table)) == turned
    assert not len(auditing.run(table, load_policy()).stopping)


def test_names_against_the_folder() -> None:
    rows = "A.JPG,1,2,30,40,PNN\nb.png,1,2,30,40,PNN\nc.jpg,1,2,30,40,PNN\nd.jpg,1,2,30,40,PNN\ne.jpg,1,2,30,40,EO\n"
    known = images("a.jpg", "b.jpg", "d.jpg", "E.jpg", "e.JPG", "extra.jpg", "notes.txt", "shown.jpg")
    table = table_of(rows, known, test=("shown.jpg",))
    audited = auditing.run(table, load_policy())
    assert found("name-variant", table) == [(2, "A.JPG"), (3, "b.png")]
    assert audited.table.text["image"][:2].tolist() == ["a.jpg", "b.jpg"]
    assert found("missing-image", table) == [(4, "c.jpg")] and found("ambiguous-name", table) == [(6, "e.jpg")]
    assert [name for _, name in found("unlabelled-image", table)] == ["E.jpg", "e.JPG", "extra.jpg"]


def test_names_with_folders_mean_files_of_sub_folders() -> None:
    rows = "".join(
        f"{name},1,2,30,40,PNN\n"
        for name in ("s1/a.jpg", "./s1/a.jpg", "C:\\img\\b.jpg", "s2\\a.jpg", "s3/a.jpg", "a.jpg", "C:\\gone.jpg")
    )
    known = images("s1/a.jpg", "s2/a.jpg", "deep/er/b.jpg", "._s/._b.jpg")
    table = table_of(rows, known)
    audited = auditing.run(table, load_policy())
    renamed = ["s1/a.jpg", "s1/a.jpg", "deep/er/b.jpg", "s2/a.jpg"]
    assert audited.table.text["image"][:4].tolist() == renamed
    assert found("name-variant", table) == [(3, "./s1/a.jpg"), (4, "C:\\img\\b.jpg"), (5, "s2\\a.jpg")]
    details = audited.findings.set_index(["rule", "line"])["detail"]
    several = "several files fit (s1/a.jpg; s2/a.jpg); write the path of the one that is meant"
    nowhere = "no such file, nor one called so in any folder below; give the image folder that holds it"
    assert details["ambiguous-name"].to_dict() == {6: several, 7: several}
    assert details["missing-image"].to_dict() == {8: nowhere}
    assert not len(audited.stopping)
    assert audited.table.labels[4:].tolist() == [True, True, False]


def test_names_that_contradict_each_other_are_not_renamed() -> None:
    rows = "s1/a.jpg,1,2,30,40,PNN\ns2/a.jpg,1,2,30,40,EO\nb.jpg,1,2,30,40,PNN\nb.png,1,2,30,40,PNN\n"
    table = table_of(rows, images("a.jpg", "b.jpg"))
    assert found("name-variant", table) == []
    assert found("ambiguous-name", table) == [(2, "s1/a.jpg"), (3, "s2/a.jpg"), (5, "b.png")]
    assert found("missing-image", table) == []


def test_a_mask_of_a_name_that_several_files_fit_stays() -> None:
    table = table_of(
        "s1/a.jpg,1,2,30,40,PNN\na.jpg,1,2,30,40,msk\na.jpg,5,2,30,40,msk\n", images("s1/a.jpg", "s2/a.jpg")
    )
    assert found("ambiguous-name", table) == [(3, "a.jpg")]
    assert auditing.run(table, load_policy()).table.ignore_regions.tolist() == [False, True, True]


# Images without cells


def test_a_row_of_a_name_alone_is_an_image_without_cells() -> None:
    table = table_of(f"{GOOD}a.jpg,,,,,\nb.jpg,nan, ,NaN,nan,\n", images("z.jpg", "a.jpg", "b.jpg"))
    audited = auditing.run(table, load_policy())
    assert not len(audited.findings[audited.findings["severity"] != "info"]) and not audited.table.lines.changes
    assert audited.table.without_cells == ["a.jpg", "b.jpg"]
    assert audited.table.labels.tolist() == [True, False, False]


@pytest.mark.parametrize("row", ["a.jpg,1,,,,", "a.jpg,,,,,PNN", "a.jpg,1,2,3,4,", "a.jpg,0,0,0,0,", ",1,2,3,4,PNN"])
def test_a_row_of_which_only_a_part_is_empty_stays_an_error(row: str) -> None:
    assert lines("blank", f"{GOOD}{row}\n", images("z.jpg", "a.jpg")) == [3]


def test_an_image_with_cells_is_not_without_and_none_is_named_twice() -> None:
    rows = f"z.jpg,,,,,\n{GOOD}a.jpg,,,,,\n./a.jpg,,,,,\nb.jpg,,,,,\nb.jpg,1,,3,4,PNN\n"
    table = table_of(rows, images("z.jpg", "a.jpg", "b.jpg"))
    assert [line for line, _ in found("empty-row", table)] == [2, 5, 6]
    assert auditing.run(table, load_policy()).table.without_cells == ["a.jpg"]


@pytest.mark.parametrize(
    ("rule", "fields"), [("unreadable", {"problem": "is empty"}), ("missing-image", None), ("leak", {})]
)
def test_an_image_without_cells_is_judged_as_others_are(rule: str, fields: dict[str, object] | None) -> None:
    known = images("z.jpg") | ({} if fields is None else images("a.jpg", **fields))
    audited = auditing.run(table_of(f"{GOOD}a.jpg,,,,,\n", known, test=("a.jpg",)), load_policy())
    assert changed_lines(audited)[rule] == [3]
    assert audited.table.without_cells == []


def test_names_against_each_other() -> None:
    rows = "a.jpg,1,2,30,40,PNN\na.png,1,2,30,40,PNN\na.png,40,2,70,40,PNN\nB.jpg,1,2,30,40,PNN\nb.jpg,1,2,30,40,PNN\n"
    assert found("case-collision", table_of(rows)) == [(6, "b.jpg")]


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("unreadable", {"problem": "is empty"}),
        ("no-end-marker", {"repairs": ("no end marker",)}),
        ("extraneous-bytes", {"repairs": ("extraneous bytes",)}),
        ("extraneous-bytes", {"repairs": ("bytes after the end",)}),
        ("decoder-warning", {"warning": "Corrupt JPEG data: bad Huffman code"}),
        ("exif-orientation", {"repairs": ("EXIF orientation",), "orientation": 3}),
        ("colour-mode", {"repairs": ("mode CMYK",)}),
        ("tiff", {"repairs": ("TIFF",)}),
        ("wrong-extension", {"repairs": ("PNG named .jpg",)}),
    ],
)
def test_a_rule_of_files_finds_its_image_alone(rule: str, fields: dict[str, object]) -> None:
    known = images("z.jpg", "y.jpg") | images("a.jpg", **fields)
    table = table_of(f"{GOOD}a.jpg,1,2,30,40,PNN\na.jpg,40,2,70,40,PNN\ny.jpg,1,2,30,40,PNN\n", known)
    audited = auditing.run(table, load_policy())
    grave = audited.findings[audited.findings["severity"] != "info"]
    assert list(zip(grave["line"], grave["image"], grave["rule"], strict=True)) == [(3, "a.jpg", rule)]
    assert audited.table.alive.tolist() == [True, rule != "unreadable", rule != "unreadable", True]


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("odd-size-image", {"width": 900}),
        ("dark-or-bright", {"brightness": 9.0}),
        ("odd-blur", {"blur": 0.01}),
        ("odd-entropy", {"entropy": 1.0}),
    ],
)
def test_an_image_unlike_the_others_is_a_note(rule: str, fields: dict[str, object]) -> None:
    known = {}
    for index in range(30):
        known |= images(f"{index}.jpg", brightness=120.0 + index % 5, entropy=7 + index % 3 / 10, blur=50.0 + index % 7)
    known |= images("odd.jpg", **fields)
    rows = "".join(f"{name},10,10,40,40,PNN\n" for name in known)
    audited = auditing.run(table_of(rows, known), load_policy())
    assert [
        (one["rule"], one["image"]) for one in audited.findings.to_dict("records") if one["rule"] != "rare-class"
    ] == [(rule, "odd.jpg")]
    assert not audited.table.lines.changes


def test_boxes_at_and_over_the_edge_of_a_known_image() -> None:
    known = images("a.jpg")
    assert lines("at-edge", "a.jpg,50,10,100,40,PNN\na.jpg,10,50,30,80,EO\na.jpg,0,0,30,30,BA\n", known) == [2, 3]
    assert lines("overhang", "a.jpg,90,10,110,40,PNN\na.jpg,10,70,30,90,EO\na.jpg,91,50,110,60,BA\n", known) == [2, 3]
    assert lines("mostly-outside", "a.jpg,90,10,110,40,PNN\na.jpg,91,50,110,60,BA\n", known) == [3]
    assert lines("outside", "a.jpg,100,10,130,40,PNN\na.jpg,99,10,101,40,EO\n", known) == [2]
    assert lines("whole-image", "a.jpg,0,0,100,77,PNN\n", known) == [2]
    assert lines("whole-image", "a.jpg,0,0,100,76,PNN\n", known) == []


def test_a_table_with_its_axes_swapped_stops() -> None:
    known = images(*(f"{index}.jpg" for index in range(4)), width=200, height=80)
    rows = "".join(f"{index}.jpg,10,120,60,190,PNN\n" for index in range(4))
    table = table_of(rows, known)
    assert auditing.run(table, load_policy()).stopping["rule"].tolist() == ["transposed-table"]
    assert found("transposed", table_of(rows.split("\n")[0] + "\n3.jpg,120,10,190,60,PNN\n", known)) == [(2, "0.jpg")]


@pytest.mark.parametrize("orientation", range(5, 9))
def test_boxes_drawn_before_the_turn_are_turned_along(orientation: int) -> None:
    from PIL import Image, ImageOps

    stored = np.zeros((200, 100), np.uint8)  # 100 wide, 200 high in the file
    stored[150:180, 20:60] = 255
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(stored)
    picture.info["exif"] = exif.tobytes()
    upright = np.asarray(ImageOps.exif_transpose(picture))
    ys, xs = np.nonzero(upright)
    known = images("a.jpg", width=200, height=100, orientation=orientation, repairs=("EXIF orientation",))
    audited = auditing.run(table_of("a.jpg,20,150,60,180,PNN\na.jpg,5,5,30,30,EO\n", known), load_policy())
    assert set(audited.findings["rule"]) == {"exif-orientation", "boxes-unturned", "rare-class"}
    assert audited.table.xyxy[0].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_boxes_that_fit_the_upright_picture_stay() -> None:
    known = images("a.jpg", width=200, height=100, orientation=6, repairs=("EXIF orientation",))
    assert lines("boxes-unturned", "a.jpg,5,5,30,30,EO\na.jpg,150,5,190,30,EO\n", known) == []
    assert lines("boxes-unturned", "a.jpg,5,150,30,190,EO\na.jpg,150,5,190,30,EO\n", known) == []


def test_leaks_by_name_need_no_image() -> None:
    table = table_of(f"{GOOD}a.jpg,1,2,30,40,PNN\na.jpg,50,2,80,40,PNN\n", test=("a.jpg", "t.jpg"))
    audited = auditing.run(table, load_policy())
    assert found("leak", table) == [(3, "a.jpg")]
    assert audited.table.alive.tolist() == [True, False, False]


def copies(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image", "twin", "kind", "group"])
    return table.assign(distance=3, correlation=0.99, turn="")


def test_a_leak_is_seen_by_another_spelling_of_the_name() -> None:
    """Without a folder there are no files that tell which names are the same."""
    rows = "".join(f"{name},1,2,30,40,PNN\n" for name in ("a.jpg", "s1/b.jpg", "c.jpg", "d.png"))
    table = table_of(rows, test=("A.JPG", "s1\\b.jpg", "c.jpg", "d.jpg"))
    assert sorted(found("leak", table)) == [(2, "a.jpg"), (3, "s1/b.jpg"), (4, "c.jpg")]


def test_copies_groups_their_labels_and_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    same = copies(("b.jpg", "a.jpg", "bytes", 0), ("c.jpg", "a.jpg", "pixels", 0), ("d.jpg", "z.jpg", "near", 1),
                  ("t.jpg", "z.jpg", "near", 1))  # fmt: skip
    monkeypatch.setattr(auditing, "find_duplicates", lambda facts, distance, correlation, names: same)
    rows = f"{GOOD}a.jpg,1,2,30,40,PNN\nb.jpg,1,2,31,40,PNN\nc.jpg,50,2,80,40,PNN\nd.jpg,1,2,30,40,EO\n"
    known = images("z.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg", "t.jpg")
    table = table_of(rows, known, test=("t.jpg",))
    assert found("same-bytes", table) == [(4, "b.jpg")]
    assert found("same-pixels", table) == [(5, "c.jpg")]
    assert found("near-duplicate", table) == [(6, "d.jpg")]
    assert found("duplicate-labels", table) == [(5, "c.jpg"), (6, "d.jpg")]
    assert sorted(found("leak", table)) == [(2, "z.jpg"), (6, "d.jpg")]
    audited = auditing.run(table, load_policy())
    groups = auditing.same_group(audited.table, load_policy())
    assert groups.to_dict() == {"a.jpg": 0, "b.jpg": 0, "c.jpg": 0}


# Masks


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,1,2,x,40,msk", "'1,2,x,40': a corner is not a number"),
        ("a.jpg,1,nan,30,40,msk", "a corner is not a number"),
        ("a.jpg,1,,30,40,msk", "a corner is not a number"),
        ("a.jpg,1,2,1e7,40,msk", "a corner is not a number of pixels up to 1,000,000"),
        ("a.jpg,30,2,1,40,msk", "30,2,1,40: nothing between its corners, or they are in the wrong order"),
        ("a.jpg,1,40,30,2,msk", "nothing between its corners"),
        ("a.jpg,1,2,1,40,msk", "nothing between its corners"),
        ("a.jpg,-30,2,-1,40,msk", "wholly outside its image"),
        ("a.jpg,-30,2,0,40,msk", "wholly outside its image"),
        (",1,2,30,40,msk", "the image name is ''"),
        ("a\t.jpg,1,2,30,40,msk", "has a control character"),
        ("s/..,1,2,x,40,msk", "the image name is 's/..'"),
    ],
)
@pytest.mark.parametrize("pictured", [False, True])
def test_a_mask_that_cannot_be_painted_is_found_and_dropped(row: str, words: str, pictured: bool) -> None:
    known = images("z.jpg", "a.jpg") if pictured else None
    audited = auditing.run(table_of(f"{GOOD}a.jpg,10,10,40,40,PNN\n{row}\n", known), load_policy())
    grave = audited.findings[audited.findings["severity"] != "info"]
    assert list(zip(grave["line"], grave["rule"], strict=True)) == [(4, "mask")]
    assert words in f"{grave['value'].iloc[0]}: {grave['detail'].iloc[0]}"
    assert audited.table.alive.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,100,2,130,40,msk", "wholly outside its image of 100x80 px"),
        ("a.jpg,1,80.5,30,90,msk", "wholly outside its image of 100x80 px"),
        ("b.jpg,1,2,30,40,msk", "the image folder has no file b.jpg"),
    ],
)
def test_a_mask_that_only_its_image_tells_to_be_unusable(row: str, words: str) -> None:
    rows = f"{GOOD}a.jpg,10,10,40,40,PNN\n{row}\n"
    assert lines("mask", rows) == []
    findings = auditing.run(table_of(rows, images("z.jpg", "a.jpg")), load_policy()).findings
    assert findings[findings["rule"] == "mask"][["line", "detail"]].to_numpy().tolist() == [[4, words]]


@pytest.mark.parametrize(
    "row",
    ["z.jpg,10,10,40,40,msk", "z.jpg,-9,-9,1,1,msk", "z.jpg,99.5,79.5,500,500,msk", "z.jpg,0.1,0.1,0.2,0.2,msk",
     "z.jpg,0,0,100,80,msk"],
)  # fmt: skip
def test_a_mask_that_reaches_into_its_image_is_fine(row: str) -> None:
    audited = auditing.run(table_of(f"{GOOD}{row}\n{row}\n", images("z.jpg")), load_policy())
    assert set(audited.findings["rule"]) == {"rare-class"} and audited.table.alive.all()
    assert audited.table.ignore_regions.tolist() == [False, True, True] and audited.table.labels.tolist() == [
        True,
        False,
        False,
    ]


def test_a_mask_without_a_label_names_its_image() -> None:
    known = images("z.jpg", "a.jpg", "b.jpg")
    assert found("unlabelled-image", table_of(f"{GOOD}a.jpg,1,2,30,40,msk\n", known)) == [(None, "b.jpg")]


TEXT = st.one_of(st.integers(-20, 120).map(str), st.sampled_from(["", "x", "1.5", "0.25", "1e9"]))
LABEL = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg", "A.JPG", "c.png", "gone.jpg", "turned.jpg"]), TEXT, TEXT, TEXT, TEXT,
    st.sampled_from(["PNN", "PNN", "EO", "eo", "XYZ"]),
).map(",".join)  # fmt: skip
MASK_ROW = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg", "A.JPG", "gone.jpg", "../a.jpg", "turned.jpg"]), TEXT, TEXT, TEXT, TEXT
).map(lambda values: ",".join([*values, "msk"]))


@pytest.mark.slow
@examples(200)
@given(st.lists(LABEL, min_size=1, max_size=12), st.lists(MASK_ROW, max_size=8), st.booleans())
def test_no_rule_sees_the_masks_but_those_that_ask_for_them(
    labels: list[str], masks: list[str], pictured: bool
) -> None:
    """What is found of labels is the same whatever masks follow them, and what is left has nothing left to mend."""
    known = images("a.jpg", "b.jpg", "c.jpg")
    known |= images("turned.jpg", width=80, height=100, orientation=6, repairs=("EXIF orientation",))
    known = known if pictured else None
    alone = auditing.run(table_of("".join(f"{row}\n" for row in labels), known), load_policy())
    beside = auditing.run(table_of("".join(f"{row}\n" for row in [*labels, *masks]), known), load_policy())
    last = len(labels) + 1

    def of_labels(findings: pd.DataFrame) -> list[list[object]]:
        seen = findings[[line is None or line <= last for line in findings["line"]]]
        return seen[seen["rule"] != "unlabelled-image"].to_numpy().tolist()

    assert of_labels(beside.findings) == of_labels(alone.findings)
    assert beside.table.labels[: len(labels)].tolist() == alone.table.labels.tolist()
    if not beside.not_run and not beside.findings["action"].eq("stop").any():
        again = auditing.run(replace(beside.table), load_policy())
        assert not again.table.lines.changes


@pytest.mark.parametrize(
    ("rule", "fields"), [("unreadable", {"problem": "is empty"}), ("missing-image", None), ("leak", {})]
)
def test_an_image_that_goes_takes_its_masks_along(rule: str, fields: dict[str, object] | None) -> None:
    known = images("z.jpg") | ({} if fields is None else images("a.jpg", **fields))
    rows = f"a.jpg,1,2,9,9,msk\n{GOOD}a.jpg,1,2,30,40,PNN\na.jpg,40,2,70,40,msk\n"
    audited = auditing.run(table_of(rows, known, test=("a.jpg",) if rule == "leak" else None), load_policy())
    assert changed_lines(audited) == {rule: [2, 4, 5]}
    assert len(audited.findings[audited.findings["rule"] == rule]) == 1


def test_masks_are_renamed_with_their_image_and_alone() -> None:
    rows = (
        "A.JPG,1,2,30,40,PNN\nA.JPG,50,2,70,40,msk\nB.png,1,2,30,40,msk\n../a.jpg,1,2,9,9,msk\n../c.jpg,1,2,9,9,msk\n"
    )
    audited = auditing.run(table_of(rows, images("a.jpg", "b.jpg")), load_policy())
    assert audited.table.text["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg", "a.jpg", "../c.jpg"]
    assert audited.table.alive.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("written", ["MSK", " msk", "Msk "])
def test_a_mask_written_in_another_way_is_recoded(written: str) -> None:
    table = table_of(f"{GOOD}z.jpg,50,50,70,70,{written}\nz.jpg,500,50,570,70,{written}\n", images("z.jpg"))
    audited = auditing.run(table, load_policy())
    assert audited.table.text["class"].tolist() == ["PNN", "msk", "msk"]
    assert audited.table.ignore_regions.tolist() == [False, True, False]
    assert changed_lines(audited) == {"class-variant": [3, 4], "mask": [4]}


@pytest.mark.parametrize("orientation", range(5, 9))
def test_masks_are_turned_along_with_the_labels_of_their_image(orientation: int) -> None:
    known = images("a.jpg", width=200, height=100, orientation=orientation, repairs=("EXIF orientation",))
    known |= images("z.jpg")
    label, mask = "a.jpg,20,150,60,180", "a.jpg,5,90,30,110"
    turned = auditing.run(table_of(f"{label},PNN\n{mask},EO\n", known), load_policy()).table.xyxy
    rows = f"{label},PNN\nz.jpg,5,50,30,60,msk\n{mask},msk\na.jpg,30,90,5,110,msk\n"
    audited = auditing.run(table_of(rows, known), load_policy())
    assert audited.table.xyxy[[0, 2]].tolist() == turned.tolist()
    assert audited.table.xyxy[1].tolist() == [5, 50, 30, 60]
    assert found("mask", table_of(rows, known)) == [(5, "a.jpg")]
    upright = f"a.jpg,20,15,60,80,PNN\n{mask},msk\n"
    assert not auditing.run(table_of(upright, known), load_policy()).table.lines.changes


def test_counts_of_a_set() -> None:
    rows = "".join(f"a.jpg,{9 * index},1,{9 * index + 8},9,PNN\n" for index in range(10))
    rows += "".join(f"{index}.jpg,1,1,30,30,PNN\n" for index in range(300)) + "x.jpg,1,1,30,30,EO\n"
    table = table_of(rows)
    assert found("many-boxes", table) == [(2, "a.jpg")]
    assert found("imbalance", table) == [(None, "")]
    rare = auditing.run(table, load_policy()).findings.query("rule == 'rare-class'")["value"]
    assert set(rare) == set(SPEC.codes) - {"PNN"}


def test_a_box_unlike_its_class() -> None:
    rows = "".join(f"{index}.jpg,10,10,{60 + index % 7},{61 + index % 5},PNN\n" for index in range(40))
    rows += "long.jpg,10,10,300,30,PNN\nhuge.jpg,10,10,610,610,PNN\nfew.jpg,10,10,610,20,EO\n"
    assert [name for _, name in found("odd-box", table_of(rows))] == ["long.jpg", "huge.jpg"]


# Overlaps against a plain loop


COORDINATE = st.integers(0, 40)
BOX = st.tuples(COORDINATE, COORDINATE, st.integers(1, 30), st.integers(1, 30))
ROWS = st.lists(st.tuples(st.sampled_from("ab"), BOX, st.sampled_from(["PNN", "EO"])), min_size=1, max_size=12)


@examples(200)
@given(ROWS)
def test_overlaps_equal_a_plain_loop(
    rows: list[tuple[str, tuple[int, int, int, int], str]],
) -> None:
    labels = [(name, (x, y, x + w, y + h), code) for name, (x, y, w, h), code in rows]
    text = "".join(f"{name}.jpg,{','.join(map(str, box))},{code}\n" for name, box, code in labels)
    kept: list[int] = []
    merged, repeated = [], []
    for index, (name, box, code) in enumerate(labels):
        if labels[index] in labels[:index]:
            repeated.append(index + 2)
            continue
        same = [other for other in kept if labels[other][0] == name and labels[other][2] == code]
        if any(overlap(labels[other][1], box) >= 0.8 for other in same):
            merged.append(index + 2)
        else:
            kept.append(index)
    findings = auditing.run(table_of(text), load_policy()).findings
    by_rule = {rule: set(group["line"]) for rule, group in findings.groupby("rule")}
    assert by_rule.get("repeated-row", set()) == set(repeated)
    assert by_rule.get("near-same", set()) == set(merged)
    for rule, low, high in (("two-classes", 0.95, 2.0), ("overlap", 0.4, 0.95)):
        expected = set()
        for place, index in enumerate(kept):
            for other in kept[:place]:
                value = overlap(labels[other][1], labels[index][1])
                different = labels[other][2] != labels[index][2]
                if labels[other][0] == labels[index][0] and (different or rule == "overlap"):
                    limit = high if different else 0.8
                    if value >= low if rule == "two-classes" else low < value < limit:
                        expected.add(index + 2)
        assert by_rule.get(rule, set()) == expected


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    return float(boxes.iou(np.array(a, float), np.array(b, float)))


def test_many_boxes_in_one_image_and_many_images_are_no_trouble() -> None:
    random = np.random.default_rng(0)
    corner, side = random.integers(0, 3000, (3000, 2)), random.integers(20, 60, (3000, 2))
    rows = "".join(f"a.jpg,{x},{y},{x + w},{y + h},PNN\n" for (x, y), (w, h) in zip(corner, side, strict=True))
    rows += "".join(f"{index}.jpg,1,1,30,30,EO\n" for index in range(3000))
    assert len(found("overlap", table_of(rows))) > 10


# Statistics and settings


def test_robust_z_of_normal_data_is_the_common_z() -> None:
    values = np.random.default_rng(0).normal(5, 3, 100_000)
    np.testing.assert_allclose(robust_z(values), (values - 5) / 3, atol=0.15)
    assert robust_z(np.array([1.0, 1, 1])).tolist() == [0, 0, 0]
    assert robust_z(np.array([1.0] * 99 + [2]))[-1] > 5
    assert np.isnan(robust_z(np.array([np.nan]))).all()


def test_a_policy_changes_severity_action_and_thresholds(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "tiny-side: {high: 40, action: drop, severity: error}\noverhang: {action: keep}\n"
    )
    table = table_of(f"{GOOD}a.jpg,-5,10,50,60,PNN\n")
    audited = auditing.run(table, load_policy(tmp_path / "rules.yaml"))
    grave = audited.findings[audited.findings["rule"] != "rare-class"]
    assert grave[["line", "rule", "severity", "action"]].to_numpy().tolist() == [
        [3, "overhang", "warning", "keep"], [2, "tiny-side", "error", "drop"],
    ]  # fmt: skip
    assert [change.rule for change in audited.table.lines.changes] == ["tiny-side"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing: {action: drop}", "no rule 'nothing'"),
        ("overhang: {keep: 1}", "'overhang' has no setting 'keep' (it has severity, action, kept)"),
        ("overhang: {kept: half}", "'kept' of 'overhang' is 'half'; give a number"),
        ("overhang: {kept: -1}", "give a number from 0 to 1"),
        ("many-boxes: {percentile: 101}", "give a number from 0 to 100"),
        ("overhang: {kept: true}", "give a number"),
        ("overhang: {action: swap}", "give one of clip, drop, review, keep, stop"),
        ("overhang: {severity: grave}", "give one of error, warning, info"),
        ("rare-class: {action: drop}", "give one of keep, review, stop"),
        ("exif-orientation: {action: keep}", "give one of bake, drop, stop"),
        ("schema: {action: keep}", "give one of stop"),
        ("overhang: clip", "must map settings to values"),
        ("- overhang", "must map names of rules"),
        ("overhang: [", "is not valid YAML (line 1"),
        ("", "must map names of rules"),
    ],
)
def test_a_wrong_policy_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    from cytoyolo.errors import CytoyoloError

    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(CytoyoloError) as error:
        load_policy(tmp_path / "rules.yaml")
    assert words in str(error.value) and str(error.value).endswith(".")


def test_an_action_of_the_wrong_kind_cannot_be_made_by_hand() -> None:
    policy = {**RULES, "inverted": replace(RULES["inverted"], action="review")}
    audited = auditing.run(table_of("a.jpg,30,2,1,40,PNN\n"), policy)
    assert audited.findings["action"].tolist()[0] == "review" and not audited.table.lines.changes
    assert list(audited.findings.columns) == list(COLUMNS)
