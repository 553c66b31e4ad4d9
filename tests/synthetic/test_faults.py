"""Injected faults: each is what it is said to be, by means other than those that made it, and nothing else changed."""

import csv
import io
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cytoyolo.annotations.rules import RULES
from cytoyolo.errors import UsageError
from cytoyolo.images import jpeg
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.synthetic.faults import inject, kinds
from cytoyolo.synthetic.smear import render_scene

FACTS_OF_A_SET = {"table-form", "many-boxes", "rare-class", "imbalance"}
FACTS_OF_A_SET |= {"unsure-form", "mixed-forms", "bit-range", "dark-range"}
# Of sound files, whose labels stay as they are.
OF_SOUND_FILES = {"unsupported", "several-pictures", "ambiguous-name"}
# Masks are no labels, nor are rows without a box, so that no fault can be put into one.
NO_LABELS = {"mask", "empty-row"}
FORMS = {"per-cent", "centre", "interleaved", "resized"}
STOPS = {"schema", "path", "normalised", "xywh", "transposed-table"} | FORMS
HEADER = "NAME,x1,y1,x2,y2,class"
TURNS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned 180": Image.Transpose.ROTATE_180,
    "turned 90": Image.Transpose.ROTATE_270,  # Pillow's turn against the clock
    "turned 270": Image.Transpose.ROTATE_90,
}
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Case:
    """A sound set, and what `inject` made of it."""

    source: Path
    images: Path
    output: Path
    spec: DataSpec
    faults: pd.DataFrame

    @property
    def lines(self) -> list[str]:
        return (self.output / "train.csv").read_text().splitlines()

    @property
    def clean(self) -> list[str]:
        return (self.source / "train.csv").read_text().splitlines()

    def rows_of(self, name: str) -> list[list[str]]:
        return [line.split(",") for line in self.lines[1:] if line.startswith(f"{name},")]

    def clean_rows_of(self, name: str) -> list[list[str]]:
        return [line.split(",") for line in self.clean[1:] if line.startswith(f"{name},")]

    def bytes_of(self, name: str) -> bytes:
        return (self.output / "images" / name).read_bytes()

    def picture(self, name: str) -> Image.Image:
        return Image.open(io.BytesIO(self.bytes_of(name)))

    def original(self, name: str) -> Image.Image:
        return Image.open(self.images / name)


@dataclass(frozen=True)
class Fault:
    """One line of faults.csv, with the text of its row."""

    case: Case
    line: int | None
    name: str
    detail: str
    truth: str

    @property
    def text(self) -> str:
        assert self.line is not None
        return self.case.lines[self.line - 1]

    @property
    def cells(self) -> list[str]:
        return self.text.split(",")

    @property
    def box(self) -> Box:
        return box_of(self.cells)

    @property
    def size(self) -> tuple[int, int]:
        return ImageOps.exif_transpose(self.case.picture(self.name)).size

    @property
    def previous(self) -> list[str]:
        assert self.line is not None
        return self.case.lines[self.line - 2].split(",")


def box_of(values: list[str]) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values[1:5])
    return x1, y1, x2, y2


def area(box: Box) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def common(a: Box, b: Box) -> float:
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: Box, b: Box) -> float:
    return common(a, b) / (area(a) + area(b) - common(a, b))


def kept(box: Box, size: tuple[int, int]) -> float:
    return common(box, (0, 0, *size)) / area(box)


def inside(box: Box, size: tuple[int, int]) -> bool:
    return min(box[0], box[1]) >= 0 and box[2] <= size[0] and box[3] <= size[1]


def swapped(box: Box) -> Box:
    return box[1], box[0], box[3], box[2]


def gray(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("L"), np.float64)


def difference(a: Image.Image, b: Image.Image) -> float:
    """Mean difference in gray levels, the difference of brightness aside."""
    one, other = gray(a), gray(b.resize(a.size))
    return float(np.abs((one - one.mean()) - (other - other.mean())).mean())


def entropy(image: Image.Image) -> float:
    share = np.bincount(gray(image).astype(int).ravel(), minlength=256) / math.prod(image.size)
    return float(-(share[share > 0] * np.log2(share[share > 0])).sum())


def sharpness(image: Image.Image) -> float:
    return float(cv2.Laplacian(gray(image), cv2.CV_64F).var())


def original_of_copy(fault: Fault) -> str:
    return fault.detail.rpartition(" of ")[2]


# What each kind must be, given one fault of it.
CHECKS: dict[str, Callable[[Fault], bool]] = {}


def check(rule: str) -> Callable[[Callable[[Fault], bool]], Callable[[Fault], bool]]:
    def register(function: Callable[[Fault], bool]) -> Callable[[Fault], bool]:
        CHECKS[rule] = function
        return function

    return register


@check("broken-row")
def _(fault: Fault) -> bool:
    try:
        return len(next(csv.reader([fault.text], strict=True))) != 6 and not fault.truth
    except csv.Error:
        return fault.text.startswith('"')


CHECKS["blank"] = lambda one: sum(not value.strip() for value in one.cells) == 1 and not one.truth
CHECKS["number"] = lambda one: not one.truth and any(not abs(number(value)) <= 1e6 for value in one.cells[1:5])
CHECKS["unknown-class"] = lambda one: one.cells[5].lower() not in [code.lower() for code in one.case.spec.codes]
CHECKS["zero-side"] = lambda one: area(one.box) == 0 and inside(one.box, one.size) and not one.truth
CHECKS["fractional"] = lambda one: any(value % 1 for value in one.box) and inside(one.box, one.size)
CHECKS["outside"] = lambda one: common(one.box, (0, 0, *one.size)) == 0 < area(one.box) and not one.truth
CHECKS["mostly-outside"] = lambda one: 0.1 <= kept(one.box, one.size) <= 0.45 and not one.truth
CHECKS["whole-image"] = lambda one: area(one.box) > 0.95 * math.prod(one.size) and inside(one.box, one.size)
CHECKS["at-edge"] = lambda one: inside(one.box, one.size) and (one.box[2] == one.size[0] or one.box[3] == one.size[1])
CHECKS["near-same"] = lambda one: (
    0.8 <= iou(one.box, box_of(one.previous)) <= 0.97
    and one.cells[::5] == one.previous[::5]
    and inside(one.box, one.size)
)
CHECKS["repeated-row"] = lambda one: one.box == box_of(one.previous) and one.cells[::5] == one.previous[::5]
CHECKS["two-classes"] = lambda one: (
    iou(one.box, box_of(one.previous)) >= 0.95 and one.cells[0] == one.previous[0] and one.cells[5] != one.previous[5]
)
CHECKS["overlap"] = lambda one: (
    0.45 <= max(iou(one.box, box_of(row)) for row in one.case.clean_rows_of(one.name)) <= 0.75
    and one.cells[0] == one.previous[0]
    and inside(one.box, one.size)
)


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@check("class-variant")
def _(fault: Fault) -> bool:
    sound = fault.truth.split(",")
    same = sound[5].casefold() == fault.cells[5].strip().casefold()
    return same and fault.cells[5] not in fault.case.spec.codes and fault.cells[:5] == sound[:5]


@check("inverted")
def _(fault: Fault) -> bool:
    x1, y1, x2, y2 = fault.box
    ordered = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return fault.box != ordered and box_of(fault.truth.split(",")) == ordered


@check("tiny-side")
def _(fault: Fault) -> bool:
    x1, y1, x2, y2 = fault.box
    return 2 <= min(x2 - x1, y2 - y1) <= 7 and inside(fault.box, fault.size)


@check("overhang")
def _(fault: Fault) -> bool:
    (x1, y1, x2, y2), (width, height) = fault.box, fault.size
    truth = box_of(fault.truth.split(","))
    clipped = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
    if not 0.5 <= kept(fault.box, fault.size) <= 0.95 or truth != clipped:
        return False
    sound = fault.case.clean_rows_of(fault.name)
    if fault.truth.split(",") in sound:
        return True
    # The picture was moved, together with its only box.
    right, down = x1 - box_of(sound[0])[0], y1 - box_of(sound[0])[1]
    before = fault.case.original(fault.name).crop(
        (truth[0] - right, truth[1] - down, truth[2] - right, truth[3] - down)
    )
    return len(sound) == 1 and difference(fault.case.picture(fault.name).crop(truth), before) < 4


@check("odd-box")
def _(fault: Fault) -> bool:
    rows = pd.read_csv(fault.case.source / "train.csv")
    rows = rows[rows["class"] == fault.cells[5]]
    usual = ((rows["x2"] - rows["x1"]) * (rows["y2"] - rows["y1"])).median()
    x1, y1, x2, y2 = fault.box
    longer, shorter = max(x2 - x1, y2 - y1), min(x2 - x1, y2 - y1)
    covered = area(fault.box) / math.prod(fault.size)
    return inside(fault.box, fault.size) and covered < 0.95 and (longer > 5 * shorter or area(fault.box) > 2 * usual)


def stems(folder: Path) -> set[str]:
    return {path.stem.casefold() for path in folder.iterdir()}


CHECKS["missing-image"] = lambda one: (
    PurePosixPath(one.name).stem.casefold() not in stems(one.case.output / "images") and one.text in one.case.clean
)
CHECKS["unlabelled-image"] = lambda one: (
    one.line is None and (one.case.output / "images" / one.name).is_file() and not one.case.rows_of(one.name)
)
CHECKS["same-bytes"] = lambda one: (
    one.case.bytes_of(one.name) == (one.case.images / original_of_copy(one)).read_bytes() and same_rows(one)
)


@check("name-variant")
def _(fault: Fault) -> bool:
    meant, names = fault.truth.split(",")[0], {path.name for path in (fault.case.output / "images").iterdir()}
    same_stem = PurePosixPath(meant).stem.casefold() == PurePosixPath(fault.name).stem.casefold()
    return fault.name not in names and meant in names and same_stem


@check("case-collision")
def _(fault: Fault) -> bool:
    named = {line.split(",")[0] for line in fault.case.lines}
    like = [name for name in named if name.casefold() == fault.name.casefold()]
    was = fault.detail.rpartition(" was ")[2]
    return (
        len(like) == 2
        and all((fault.case.output / "images" / name).is_file() for name in like)
        and fault.case.bytes_of(fault.name) == (fault.case.images / was).read_bytes()
        and [row[1:] for row in fault.case.rows_of(fault.name)] == [row[1:] for row in fault.case.clean_rows_of(was)]
    )


@check("unreadable")
def _(fault: Fault) -> bool:
    try:
        fault.case.picture(fault.name).load()
    except (OSError, ImportError):  # the second once Ultralytics has wrapped Image.open
        return not fault.truth
    return False


CHECKS["no-end-marker"] = lambda one: (
    one.case.bytes_of(one.name) + b"\xff\xd9" == (one.case.images / one.name).read_bytes()
)
CHECKS["extraneous-bytes"] = lambda one: (
    jpeg.mend(one.case.bytes_of(one.name)) == (one.case.images / one.name).read_bytes() != one.case.bytes_of(one.name)
)
CHECKS["colour-mode"] = lambda one: one.case.picture(one.name).mode in ("CMYK", "RGBA", "P", "I;16")
CHECKS["tiff"] = lambda one: one.case.picture(one.name).format == "TIFF" and one.name.endswith(".tif")
CHECKS["wrong-extension"] = lambda one: (
    one.case.picture(one.name).format in ("PNG", "BMP", "WEBP")
    and one.name.endswith(".jpg")
    and difference(one.case.picture(one.name), one.case.original(one.name)) == 0
)
CHECKS["dark-or-bright"] = lambda one: not 12 < gray(one.case.picture(one.name)).mean() < 243
CHECKS["odd-entropy"] = lambda one: entropy(one.case.picture(one.name)) < entropy(one.case.original(one.name)) - 1
CHECKS["odd-size-image"] = lambda one: math.prod(one.size) >= 4 * math.prod(one.case.original(one.name).size)
CHECKS["exif-orientation"] = lambda one: (
    one.case.picture(one.name).getexif()[274] == int(one.detail.split()[-1]) > 1
    and difference(ImageOps.exif_transpose(one.case.picture(one.name)), one.case.original(one.name)) < 2
)


@check("odd-blur")
def _(fault: Fault) -> bool:
    ratio = sharpness(fault.case.picture(fault.name)) / sharpness(fault.case.original(fault.name))
    return not 0.3 < ratio < 3


@check("decoder-warning")
def _(fault: Fault) -> bool:
    # OpenCV's decoder prints what it complains of; see the test that reads it.
    return cv2.imdecode(np.frombuffer(fault.case.bytes_of(fault.name), np.uint8), cv2.IMREAD_COLOR) is not None


@check("boxes-unturned")
def _(fault: Fault) -> bool:
    stored = fault.case.picture(fault.name)
    upright = ImageOps.exif_transpose(stored)
    rows = [box_of(row) for row in fault.case.rows_of(fault.name)]
    before = {",".join(row[1:]): row for row in fault.case.clean_rows_of(fault.name)}
    truth = box_of(fault.truth.split(","))
    # Background is added at the right and the bottom, where boxes stay the same, or for orientation 5 at the left.
    across = upright.width - fault.case.original(fault.name).width if stored.getexif()[274] == 5 else 0
    sound = (truth[0] - across, truth[1], truth[2] - across, truth[3])
    return (
        all(inside(row, stored.size) for row in rows)
        and not all(inside(row, upright.size) for row in rows)
        and ",".join([*(str(int(value)) for value in sound), fault.cells[5]]) in before
        and difference(upright.crop(truth), fault.case.original(fault.name).crop(sound)) < 4
        # The same pixels of the file, once upright.
        and sorted((fault.box[2] - fault.box[0], fault.box[3] - fault.box[1]))
        == sorted((truth[2] - truth[0], truth[3] - truth[1]))
    )


@check("transposed")
def _(fault: Fault) -> bool:
    rows = [box_of(row) for row in fault.case.rows_of(fault.name)]
    fits = all(inside(swapped(row), fault.size) for row in rows)
    sound, right = box_of(fault.case.clean_rows_of(fault.name)[0]), swapped(rows[0])
    before = fault.case.original(fault.name).crop(sound)
    same = difference(fault.case.picture(fault.name).crop(right), before) < 4
    return fits and same and min(kept(row, fault.size) for row in rows) < 0.5


def same_rows(fault: Fault) -> bool:
    copy, first = fault.case.rows_of(fault.name), fault.case.rows_of(original_of_copy(fault))
    return [row[1:] for row in copy] == [row[1:] for row in first] != []


@check("same-pixels")
def _(fault: Fault) -> bool:
    first = original_of_copy(fault)
    other = fault.case.bytes_of(fault.name) != (fault.case.images / first).read_bytes()
    same = np.array_equal(np.asarray(fault.case.picture(fault.name)), np.asarray(fault.case.original(first)))
    return other and same and same_rows(fault)


@check("duplicate-labels")
def _(fault: Fault) -> bool:
    first = original_of_copy(fault)
    same = np.array_equal(np.asarray(fault.case.picture(fault.name)), np.asarray(fault.case.original(first)))
    classes = [[row[5] for row in fault.case.rows_of(name)] for name in (fault.name, first)]
    return same and len(classes[0]) == len(classes[1]) and classes[0][0] != classes[1][0]


@check("near-duplicate")
def _(fault: Fault) -> bool:
    first = original_of_copy(fault)
    how = fault.detail.partition(" copy of ")[0]
    copy, original = fault.case.picture(fault.name), fault.case.original(first)
    rows = list(zip(fault.case.rows_of(fault.name), fault.case.rows_of(first), strict=True))
    for copied, sound in rows:
        before = original.crop(box_of(sound))
        before = before.transpose(TURNS[how]) if how in TURNS else before
        after = copy.crop(box_of(copied))
        close = max(abs(after.width / before.width - 1), abs(after.height / before.height - 1)) < 0.45
        if copied[5] != sound[5] or not close or difference(before, after) > 12:
            return False
    return bool(rows) and (copy.size != original.size or not np.array_equal(gray(copy), gray(original)))


@check("leak")
def _(fault: Fault) -> bool:
    tested = fault.detail.partition(": ")[2]
    known = set(pd.read_csv(fault.case.source / "test.csv")["NAME"])
    sound = (fault.case.output / "images" / tested).read_bytes() == (fault.case.images / tested).read_bytes()
    picture = fault.case.picture(fault.name)
    return tested in known and sound and difference(picture, fault.case.original(tested)) < 5 and not fault.truth


def faults_of(case: Case) -> list[tuple[str, Fault]]:
    table = case.faults[case.faults["table"] == "train.csv"]
    return [
        (row.rule, Fault(case, None if pd.isna(row.line) else int(row.line), row.NAME, row.detail, row.truth))
        for row in table.itertuples()
    ]


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def sample(source: Path, folder: Path, images: int, tests: int) -> None:
    """Copy the first images of a set and their rows, and the first of its test."""
    (folder / "images").mkdir(parents=True)
    for table, count in (("train.csv", images), ("test.csv", tests)):
        rows = pd.read_csv(source / table)
        rows = rows[rows["NAME"].isin(rows["NAME"].unique()[:count])]
        rows.to_csv(folder / table, index=False)
        for name in rows["NAME"].unique():
            shutil.copyfile(source / "images" / name, folder / "images" / name)


def paint(folder: Path, images: int) -> None:
    """Synthetic smears, ten of them for the test."""
    (folder / "images").mkdir(parents=True)
    lines, tests = [HEADER], ["trustii_id,NAME"]
    for index in range(images):
        scene, name = render_scene(5, index), f"cell-{index:03d}.jpg"
        (folder / "images" / name).write_bytes(cv2.imencode(".jpg", scene.image)[1].tobytes())
        if index < 10:
            tests.append(f"{index},{name}")
            continue
        for box, code in zip(scene.xyxy, scene.codes, strict=True):
            lines.append(",".join([name, *map(str, box), code]))
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    (folder / "test.csv").write_text("\n".join(tests) + "\n")


def run(source: Path, output: Path, spec: DataSpec, seed: int = 0, rate: float = 0.5, test: bool = True) -> Case:
    output.mkdir(parents=True)
    images = source / "images"
    table = inject(
        source / "train.csv",
        images,
        output,
        spec=spec,
        rate=rate,
        seed=seed,
        test=source / "test.csv" if test else None,
    )
    read = pd.read_csv(output / "faults.csv", keep_default_na=False).replace({"line": {"": None}})
    assert len(read) == len(table) and list(read) == list(table)
    return Case(source, images, output, spec, read)


@pytest.fixture(scope="module", params=["smear", "pbc3", pytest.param("wbc5", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Sets of one cell an image and of many, with about every variant of each kind in wbc5."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "smear":
        paint(folder / "source", 110)
    else:
        shared: Path = request.getfixturevalue("shared")
        sizes = {"wbc5": (620, 60), "pbc3": (130, 20)}[request.param]
        sample(shared / request.param, folder / "source", *sizes)
    before = snapshot(folder / "source")
    made = run(folder / "source", folder / "out", load_spec("cytologia" if request.param == "smear" else request.param))
    assert snapshot(folder / "source") == before, "the inputs were changed"
    return made


def test_every_rule_has_its_faults_but_those_that_are_facts_of_a_set(case: Case) -> None:
    expected = set(RULES) - FACTS_OF_A_SET - NO_LABELS - OF_SOUND_FILES
    assert set(case.faults["rule"]) == expected
    assert {kind.rule for kind in kinds(test=True)} | STOPS == expected
    assert set(CHECKS) | STOPS == expected


def test_every_fault_is_what_it_says(case: Case) -> None:
    wrong = [(rule, fault.line, fault.name, fault.detail) for rule, fault in faults_of(case) if not CHECKS[rule](fault)]
    assert wrong == []


def test_the_decoder_warns_of_damaged_data(case: Case, capfd: pytest.CaptureFixture[str]) -> None:
    for rule, fault in faults_of(case):
        capfd.readouterr()
        if rule == "decoder-warning":
            cv2.imread(str(case.output / "images" / fault.name))
            assert "Corrupt JPEG data" in capfd.readouterr().err


def test_faults_are_so_many_and_spread_evenly(case: Case) -> None:
    images = len({line.split(",")[0] for line in case.clean[1:]})
    counts = Counter(rule for rule, _ in {(rule, fault.name or fault.text) for rule, fault in faults_of(case)})
    assert sum(counts.values()) == round(0.5 * images)
    capped = counts.pop("transposed")
    assert capped <= 2 and max(counts.values()) - min(counts.values()) <= 1


def test_no_image_has_two_faults(case: Case) -> None:
    rules = case.faults[(case.faults["table"] == "train.csv") & (case.faults["NAME"].str.strip() != "")]
    assert not rules[["NAME", "rule"]].drop_duplicates()["NAME"].duplicated().any()
    copied = [original_of_copy(fault) for _, fault in faults_of(case) if "copy of " in fault.detail]
    assert not set(copied) & set(rules["NAME"]) and len(set(copied)) == len(copied)


def test_a_truth_is_a_row_of_the_sound_table(case: Case) -> None:
    for rule, fault in faults_of(case):
        if rule not in ("overhang", "boxes-unturned"):  # their pictures are moved or extended, see their checks
            assert not fault.truth or fault.truth in case.clean


def test_a_line_without_a_fault_is_one_of_the_sound_table(case: Case) -> None:
    listed = {fault.line for _, fault in faults_of(case)}
    about_images = {kind.rule for kind in kinds(test=True) if not kind.make.__module__.endswith((".rows", ".overlaps"))}
    named = {fault.name for rule, fault in faults_of(case) if rule in about_images}
    others = [
        line for at, line in enumerate(case.lines, start=1) if at not in listed and line.split(",")[0] not in named
    ]
    assert others and not Counter(others) - Counter(case.clean)


def test_test_images_and_those_without_a_fault_stay_byte_for_byte(case: Case) -> None:
    named = set(case.faults["NAME"])
    for name in pd.read_csv(case.source / "test.csv")["NAME"].unique():
        assert case.bytes_of(name) == (case.images / name).read_bytes()
    for path in (case.output / "images").iterdir():
        if path.name not in named:
            assert path.read_bytes() == (case.images / path.name).read_bytes()


def test_the_tables_that_stop(case: Case) -> None:
    folder = case.output / "stops"
    listed = case.faults[case.faults["table"] != "train.csv"]
    assert {f"stops/{path.name}" for path in folder.glob("*.csv")} == set(listed["table"])
    assert set(listed["rule"]) == STOPS
    data = {path.stem: path.read_bytes() for path in folder.glob("*.csv")}
    header = f"{HEADER}\n".encode()
    assert data["empty"] == b"" and data["rowless"] == header
    assert data["xml"].startswith(b"<annotation>") and data["json"].startswith(b'{"images"')
    assert data["twice"].startswith(b"NAME,x1,y1,x2,y2,class,NAME") and data["utf16"].startswith(b"N\0A\0")
    assert b"\0" in data["nul"] and not data["headerless"].startswith(b"NAME")
    assert data["columns"].startswith(b"NAME,x1,y1,x2,y2,label\n")
    with pytest.raises(UnicodeDecodeError):
        data["dos"].decode()
    assert all(data["path"].splitlines()[int(line) - 1] for line in listed[listed["rule"] == "path"]["line"])


def as_corners(name: str, row: "np.ndarray[tuple[int], np.dtype[np.float64]]", size: tuple[int, int]) -> list[float]:
    first, second, third, fourth = map(float, row)
    return {
        "per-cent": [value * side / 100 for value, side in zip(map(float, row), size * 2, strict=True)],
        "centre": [first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2],
        "interleaved": [first, third, second, fourth],
        "resized": [first / 2, second / 2, third / 2, fourth / 2],
    }[name]


@pytest.mark.parametrize("name", ["normalised", "xywh", *sorted(FORMS), "transposed-table"])
def test_the_tables_of_sound_rows_that_stop(case: Case, name: str) -> None:
    folder = case.output / "stops"
    rows = pd.read_csv(folder / f"{name}.csv")
    sizes = [Image.open(folder / "images" / image).size for image in rows["NAME"]]
    values = rows[["x1", "y1", "x2", "y2"]].to_numpy(float)
    if name == "normalised":
        assert ((values >= 0) & (values <= 1)).all() and (values > 0).any(axis=1).all()
    elif name == "xywh":
        assert ((values[:, 2:] < values[:, :2]).any(axis=1)).sum() >= 10
        boxes = np.concatenate([values[:, :2], values[:, :2] + values[:, 2:]], axis=1)
        assert all(inside(tuple(box), size) for box, size in zip(boxes, sizes, strict=True))
    elif name in FORMS:
        sound = pd.DataFrame([line.split(",") for line in case.clean[1:]], columns=HEADER.split(",")).set_index("NAME")
        boxes = [sound.loc[[image], ["x1", "y1", "x2", "y2"]].to_numpy(float) for image in rows["NAME"]]
        assert all(np.isclose(as_corners(name, row, size), known, atol=0.01).all(axis=1).any()
                   for row, size, known in zip(values, sizes, boxes, strict=True))  # fmt: skip
    else:
        boxes = [tuple(box) for box in values]
        assert all(inside(swapped(box), size) for box, size in zip(boxes, sizes, strict=True))
        assert sum(kept(box, size) < 0.5 for box, size in zip(boxes, sizes, strict=True)) > len(rows) / 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(case: Case, tmp_path: Path) -> None:
    again = run(case.source, tmp_path / "again", case.spec)
    other = run(case.source, tmp_path / "other", case.spec, seed=1)
    first, second, third = (
        {name: data for name, (data, _) in snapshot(made.output).items()} for made in (case, again, other)
    )
    assert first == second and first["train.csv"] != third["train.csv"] and first.keys() != third.keys()


@pytest.fixture(scope="module")
def smears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "source"
    paint(folder, 110)
    return folder


def test_without_a_test_table_nothing_leaks(smears: Path, tmp_path: Path) -> None:
    made = run(smears, tmp_path / "out", load_spec("cytologia"), test=False)
    assert "leak" not in set(made.faults["rule"]) and "leak" not in {kind.rule for kind in kinds(test=False)}


def test_rows_and_images_that_were_faulty_before_get_no_fault_and_stay(smears: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(smears, source)
    lines = (source / "train.csv").read_text().splitlines()
    bad = [lines[1].replace(",", ",x", 1), f"gone.jpg,{lines[2].partition(',')[2]}", "cell-050.jpg,-40,3,20,60,PNN"]
    (source / "train.csv").write_text("\n".join([*lines, *bad]) + "\n")
    (source / "images" / "cell-060.jpg").write_bytes(b"")
    made = run(source, tmp_path / "out", load_spec("cytologia"), rate=0.45)
    assert set(bad) <= set(made.lines)
    images = {bad[0].split(",")[0], "gone.jpg", "cell-050.jpg", "cell-060.jpg"}
    assert not images & set(made.faults["NAME"])


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "faults=0.0; give more than 0 and at most 0.5"),
        (0.51, "faults=0.51"),
        (-1.0, "faults=-1.0"),
        (math.nan, "faults=nan"),
        (0.1, "100 images with a share of faults of 0.1 .* of the {kinds} kinds; give at least {kinds}0 images"),
    ],
)
def test_a_wrong_share_is_refused(rate: float, words: str, smears: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words.format(kinds=len(kinds(test=True)))):
        run(smears, tmp_path / "out", load_spec("cytologia"), rate=rate)


def test_images_that_can_take_no_fault_are_told(smears: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(smears, source)
    for path in (source / "images").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UsageError, match="no image without a fault fits the fault"):
        run(source, tmp_path / "out", load_spec("cytologia"))
