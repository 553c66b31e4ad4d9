"""`convert` from end to end: painted images, real sets, the training's own loader, and every bad input."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cytoyolo import convert
from cytoyolo.classes import load_spec
from cytoyolo.commands.convert import Converted
from cytoyolo.errors import CytoyoloError, UsageError
from tests.pictures import JPEG, PNG, REPAIRABLE, SOUND, Sample, empty_png, photo, resized_jpeg, save

HEADER = "NAME,x1,y1,x2,y2,class\n"
Program = Callable[..., subprocess.CompletedProcess[str]]


def write(folder: Path, samples: list[Sample], rows: str | None = None) -> None:
    """An image folder and a label table; without rows, one box an image, of five classes in turn."""
    (folder / "images").mkdir(parents=True)
    for sample in samples:
        (folder / "images" / sample.name).write_bytes(sample.data)
    codes = ("PNN", "EO", "BA", "LY", "MO")
    table = pd.DataFrame(
        [(sample.name, 4, 5, 30, 36, codes[index % 5]) for index, sample in enumerate(samples)],
        columns=HEADER.strip().split(","),
    )
    table.to_csv(folder / "labels.csv", index=False)
    if rows is not None:
        (folder / "labels.csv").write_text(HEADER + rows)


def plain(*names: str) -> list[Sample]:
    return [Sample(name, save(photo(seed=index), "JPEG"), (), SOUND[0].pixels) for index, name in enumerate(names)]


def call(folder: Path, name: str = "out", **settings: object) -> Converted:
    arguments = {"val": 0.25} | settings
    if "folds" in settings:
        del arguments["val"]
    return convert(folder / "labels.csv", images=folder / "images", output=folder / name, **arguments)


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Every file below a folder with its bytes, a link with its target."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def listed_files(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text(encoding="utf-8").splitlines()


def training_loader(folder: Path, name: str, imgsz: int = 48) -> tuple[object, tuple[int, ...], list[str]]:
    """Ultralytics' own data set of a list file, its counts (found, missing, empty, corrupt, total), its messages."""
    from cytoyolo.detector.engine import engine

    engine()
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import load_dataset_cache_file

    data = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    loaded = YOLODataset(str(folder / name), data=data, task="detect", imgsz=imgsz, augment=False)
    cache = load_dataset_cache_file(folder / "labels.cache")
    return loaded, tuple(cache["results"]), cache["msgs"]


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted set with one image of every kind that can be used, sound or mended."""
    folder = tmp_path_factory.mktemp("kinds")
    write(folder, [*SOUND, *REPAIRABLE])
    call(folder)
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Twelve sound images with a box each."""
    write(tmp_path / "lab", plain(*(f"{letter}.jpg" for letter in "abcdefghijkl")))
    return tmp_path / "lab"


# What the training makes of it


def test_the_training_takes_every_kind_of_file_and_touches_no_original(every_kind: Path) -> None:
    before = snapshot(every_kind / "images")
    seen = Counter()
    for name in ("train.txt", "val.txt"):
        files = listed_files(every_kind / "out", name)
        loaded, counts, messages = training_loader(every_kind / "out", name)
        assert counts == (len(files), 0, 0, 0, len(files))
        assert messages == []
        assert [len(label["cls"]) for label in loaded.labels] == [1] * len(files)
        seen.update(Path(path).stem for path in loaded.im_files)
    assert seen == Counter(Path(sample.name).stem for sample in [*SOUND, *REPAIRABLE])
    assert snapshot(every_kind / "images") == before


def test_the_training_reads_the_upright_pixels_and_the_pixel_boxes_of_the_table(every_kind: Path) -> None:
    samples = {Path(sample.name).stem: sample for sample in [*SOUND, *REPAIRABLE]}
    for name in ("train.txt", "val.txt"):
        loaded, _, _ = training_loader(every_kind / "out", name)
        for index, path in enumerate(loaded.im_files):
            sample = samples[Path(path).stem]
            pixels = loaded.load_image(index)[0]
            assert pixels.shape == sample.pixels.shape, path
            assert np.abs(pixels.astype(int) - sample.pixels).max() <= sample.tolerance, path
            height, width = pixels.shape[:2]
            x, y, w, h = (loaded.labels[index]["bboxes"][0] * (width, height, width, height)).tolist()
            assert [x - w / 2, y - h / 2, x + w / 2, y + h / 2] == pytest.approx([4, 5, 30, 36], abs=1e-3)


def test_every_repair_is_listed_and_counted(every_kind: Path, tmp_path: Path) -> None:
    table = pd.read_csv(every_kind / "out" / "images.csv", keep_default_na=False).set_index("NAME")
    for sample in [*SOUND, *REPAIRABLE]:
        assert table["repairs"][sample.name] == "; ".join(sample.repairs)
        assert (table["height"][sample.name], table["width"][sample.name]) == sample.pixels.shape[:2]
        assert (every_kind / "out" / "images" / table["file"][sample.name]).is_file()
    write(tmp_path / "lab", [*SOUND, *REPAIRABLE])
    assert call(tmp_path / "lab").repaired == len(REPAIRABLE)


UNUSUAL_NAMES = [
    "with space.jpg", " leading.jpg", "trailing.jpg ", "UPPER.JPG", "Lame étiquetée.jpg", "e\u0301.jpg", "細胞.jpg",
    "🔬.png", "two..dots.jpg", "a.tar.jpg", "-dash.jpg", "#hash%20&.jpg", "quote's, \"comma\".jpg", "[red]x.jpg",
    ".hidden.jpg", "*.jpg", "$HOME.jpg", "no extension", "dot.", "n" * 240 + ".jpg",
]  # fmt: skip


def test_unusual_names_work(tmp_path: Path, cytoyolo: Program) -> None:
    samples = [*plain(*UNUSUAL_NAMES[:-3]), *plain("no extension", "dot.", UNUSUAL_NAMES[-1])]
    write(tmp_path, samples)
    done = cytoyolo("convert", tmp_path / "labels.csv", "--images", tmp_path / "images", "-o", tmp_path / "out",
                    "--folds", 2)  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = [training_loader(tmp_path / "out", f"fold{fold}_val.txt")[1] for fold in (0, 1)]
    assert sum(found for found, *_ in counts) == len(UNUSUAL_NAMES)
    assert all(missing == empty == corrupt == 0 for _, missing, empty, corrupt, _ in counts)


@pytest.fixture(scope="module", params=["wbc5", "pbc3"])
def real(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A whole real set, converted with links."""
    folder = tmp_path_factory.mktemp(request.param)
    source = shared / request.param
    convert(source / "train.csv", images=source / "images", output=folder / "out", dataset=request.param, val=0.1)
    return request.param, folder / "out"


def expected_labels(source: Path, name: str) -> dict[str, list[list[float]]]:
    """Label rows of each image by a plain loop."""
    ids, found, sizes = load_spec(name).ids, {}, {}
    for row in pd.read_csv(source / "train.csv").itertuples(index=False):
        if row.NAME not in sizes:
            with Image.open(source / "images" / row.NAME) as image:
                sizes[row.NAME] = image.size
        width, height = sizes[row.NAME]
        x1, x2 = (min(max(value, 0), width) for value in (row.x1, row.x2))
        y1, y2 = (min(max(value, 0), height) for value in (row.y1, row.y2))
        code = ids[row[5]]
        box = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        found.setdefault(row.NAME, []).append([code, *box])
    return found


def test_real_labels_equal_a_plain_loops(real: tuple[str, Path], shared: Path) -> None:
    name, folder = real
    expected = expected_labels(shared / name, name)
    assert {path.stem for path in (folder / "labels").iterdir()} == {Path(image).stem for image in expected}
    for image, rows in expected.items():
        written = np.loadtxt(folder / "labels" / f"{Path(image).stem}.txt", ndmin=2)
        np.testing.assert_allclose(written, rows, rtol=0, atol=5.1e-7)


def test_the_training_takes_every_real_image_and_touches_no_original(real: tuple[str, Path], shared: Path) -> None:
    name, folder = real
    expected = expected_labels(shared / name, name)
    before = {image: (shared / name / "images" / image).read_bytes() for image in expected}
    images = boxes = 0
    for part in ("train.txt", "val.txt"):
        loaded, counts, messages = training_loader(folder, part)
        files = listed_files(folder, part)
        assert counts == (len(files), 0, 0, 0, len(files))
        assert all("duplicate labels removed" in message for message in messages)
        images += len(loaded.labels)
        boxes += sum(len(label["cls"]) for label in loaded.labels)
    assert images == len(expected)
    assert boxes == sum(len({tuple(row) for row in rows}) for rows in expected.values())
    assert before == {image: (shared / name / "images" / image).read_bytes() for image in expected}


def test_real_slides_stay_on_one_side(shared: Path, tmp_path: Path) -> None:
    source = shared / "wbc5"
    convert(source / "train.csv", images=source / "images", output=tmp_path / "out", dataset="wbc5", folds=5,
            groups=source / "groups.csv")  # fmt: skip
    table = pd.read_csv(tmp_path / "out" / "images.csv", keep_default_na=False)
    given = pd.read_csv(source / "groups.csv").set_index("NAME")["group"]
    grouped = table[table["group"] != ""]
    slides = grouped[~grouped["group"].str.startswith("copies of")]
    assert dict(zip(slides["NAME"], slides["group"], strict=True)) == given[given.index.isin(table["NAME"])].to_dict()
    assert grouped.groupby("group")["part"].nunique().max() == 1
    assert sorted(table["part"].unique()) == [0, 1, 2, 3, 4]


# The folder


def test_the_split_is_written_to_lists_yaml_and_manifest(lab: Path) -> None:
    made = call(lab)
    assert made == Converted(lab / "out", images=12, boxes=12, clipped=0, rounded=0, repaired=0)
    train, val = listed_files(lab / "out", "train.txt"), listed_files(lab / "out", "val.txt")
    assert (len(train), len(val)) == (9, 3)
    assert sorted(train + val) == [f"./images/{letter}.jpg" for letter in "abcdefghijkl"]
    data = yaml.safe_load((lab / "out" / "data.yaml").read_text())
    assert data == {"train": "train.txt", "val": "val.txt", "names": dict(enumerate(load_spec("cytologia").codes))}
    manifest = json.loads((lab / "out" / "dataset.json").read_text())
    assert (manifest["val"], manifest["folds"], manifest["seed"], manifest["images"]) == (0.25, None, 0, 12)
    assert {code: count for code, count in manifest["boxes"].items() if count} == {
        "PNN": 3, "EO": 3, "BA": 2, "LY": 2, "MO": 2,
    }  # fmt: skip


def test_label_rows_keep_the_order_of_the_table_even_when_images_alternate(tmp_path: Path) -> None:
    rows = "b.jpg,0,0,20,24,EO\na.jpg,10,12,30,36,PNN\nb.jpg,20,24,40,48,PNN\nb.jpg,0,0,40,48,BA\n"
    write(tmp_path, plain("a.jpg", "b.jpg"), rows)
    call(tmp_path, val=0.5)
    labels = tmp_path / "out" / "labels"
    assert (labels / "a.txt").read_text() == "20 0.500000 0.500000 0.500000 0.500000\n"
    assert (labels / "b.txt").read_text() == (
        "2 0.250000 0.250000 0.500000 0.500000\n"
        "20 0.750000 0.750000 0.500000 0.500000\n"
        "1 0.500000 0.500000 1.000000 1.000000\n"
    )


def test_no_file_holds_a_path_of_this_machine(lab: Path) -> None:
    (lab / "groups.csv").write_text("NAME,group\na.jpg,s1\nb.jpg,s1\n")
    call(lab, folds=3, groups=lab / "groups.csv")
    texts = [content for content in snapshot(lab / "out").values() if isinstance(content, bytes)]
    assert len(texts) > 20 and not any(str(lab).encode() in text for text in texts)


def test_the_same_seed_gives_the_same_bytes(every_kind: Path) -> None:
    call(every_kind, "again")
    once, again = snapshot(every_kind / "out"), snapshot(every_kind / "again")
    once.pop("labels.cache", None)
    assert once == again


def test_another_seed_gives_another_split_of_the_same_labels(lab: Path) -> None:
    for seed in (0, 1):
        call(lab, f"seed{seed}", seed=seed)
    first, second = snapshot(lab / "seed0"), snapshot(lab / "seed1")
    differing = {name for name in first if first[name] != second.get(name)}
    assert first.keys() == second.keys()
    assert differing == {"train.txt", "val.txt", "images.csv", "dataset.json"}


def test_without_val_and_folds_a_twentieth_is_held_out(tmp_path: Path) -> None:
    write(tmp_path, plain(*(f"{index}.jpg" for index in range(40))))
    call(tmp_path, val=None)
    assert len(listed_files(tmp_path / "out", "val.txt")) == 2


def test_folds_hold_out_every_image_once(lab: Path) -> None:
    call(lab, folds=4)
    everything = [f"./images/{letter}.jpg" for letter in "abcdefghijkl"]
    held_out = [listed_files(lab / "out", f"fold{fold}_val.txt") for fold in range(4)]
    assert sorted(path for files in held_out for path in files) == everything
    for fold in range(4):
        assert sorted(listed_files(lab / "out", f"fold{fold}_train.txt") + held_out[fold]) == everything
        data = yaml.safe_load((lab / "out" / f"fold{fold}.yaml").read_text())
        assert (data["train"], data["val"]) == (f"fold{fold}_train.txt", f"fold{fold}_val.txt")
    assert (lab / "out" / "data.yaml").read_bytes() == (lab / "out" / "fold0.yaml").read_bytes()
    assert not (lab / "out" / "fold4.yaml").exists() and not (lab / "out" / "train.txt").exists()


def test_groups_are_never_parted_and_strangers_to_the_table_do_not_matter(lab: Path) -> None:
    groups = {letter: f"slide{index // 3}" for index, letter in enumerate("abcdefghi")}
    text = "".join(f"{letter}.jpg,{group}\n" for letter, group in groups.items())
    (lab / "groups.csv").write_text(f"NAME,group\nstranger.jpg,slide9\n{text}")
    for seed in range(3):
        call(lab, f"out{seed}", folds=3, groups=lab / "groups.csv", seed=seed)
        table = pd.read_csv(lab / f"out{seed}" / "images.csv", keep_default_na=False)
        sides = table[table["group"] != ""].groupby("group")["part"]
        assert sides.size().to_dict() == {"slide0": 3, "slide1": 3, "slide2": 3}
        assert sides.nunique().max() == 1
        assert table.set_index("NAME")["group"]["l.jpg"] == ""


def test_links_lead_to_the_originals_and_copies_stand_alone(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab)
    for name, copy in (("links", False), ("copies", True)):
        convert("labels.csv", images="images", output=name, val=0.25, copy=copy)
    assert all((lab / "links" / "images" / f"{letter}.jpg").is_symlink() for letter in "abcdefghijkl")
    shutil.move(lab / "links", lab.parent / "elsewhere")
    for letter in "abcdefghijkl":
        original = (lab / "images" / f"{letter}.jpg").read_bytes()
        assert (lab.parent / "elsewhere" / "images" / f"{letter}.jpg").read_bytes() == original
        assert (lab / "copies" / "images" / f"{letter}.jpg").read_bytes() == original
    assert not any(path.is_symlink() for path in (lab / "copies").rglob("*"))


def test_the_programs_options_are_the_functions(lab: Path, cytoyolo: Program) -> None:
    (lab / "groups.csv").write_text("NAME,group\na.jpg,s1\nf.jpg,s1\nk.jpg,s1\n")
    call(lab, "function", folds=3, groups=lab / "groups.csv", copy=True, seed=5, dataset="wbc5")
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "program", "--folds", 3,
                    "--groups", lab / "groups.csv", "--copy", "--seed", 5, "--dataset", "wbc5")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert snapshot(lab / "program") == snapshot(lab / "function")
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "program", "--val", 0.5,
                    "--overwrite")  # fmt: skip
    assert done.returncode == 0 and len(listed_files(lab / "program", "val.txt")) == 6


def test_clipped_rounded_and_mended_are_said(tmp_path: Path, cytoyolo: Program) -> None:
    rows = "a.jpg,-5,3,30,36,PNN\nb.jpg,4,5,99,99,EO\nc.jpg,4.4,5,30.6,36,BA\nd.jpg,4.0,5.00,3e1,36,LY\n"
    write(
        tmp_path,
        [*plain("a.jpg", "b.jpg", "c.jpg"), Sample("d.jpg", save(photo(seed=9), "JPEG") + b"x", (), SOUND[0].pixels)],
        rows,
    )
    done = cytoyolo("convert", tmp_path / "labels.csv", "--images", tmp_path / "images", "-o", tmp_path / "out",
                    "--val", 0.25)  # fmt: skip
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'out'}: 4 images, 4 boxes\n"
    assert "reached outside their image and were clipped: 2." in done.stderr
    assert "fractional pixels, which were rounded: 1." in done.stderr
    assert "mended in the staged copy (see images.csv there): 1." in done.stderr
    boxes = {}
    for name in "abcd":
        _, x, y, w, h = map(float, (tmp_path / "out" / "labels" / f"{name}.txt").read_text().split())
        boxes[name] = [
            round(value) for value in (40 * (x - w / 2), 48 * (y - h / 2), 40 * (x + w / 2), 48 * (y + h / 2))
        ]
    assert boxes == {"a": [0, 3, 30, 36], "b": [4, 5, 40, 48], "c": [4, 5, 31, 36], "d": [4, 5, 30, 36]}


def test_nothing_is_said_where_nothing_was_changed(lab: Path, cytoyolo: Program) -> None:
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--val", 0.25)
    assert done.returncode == 0
    assert not any(word in done.stderr for word in ("clipped", "rounded", "mended", "Warning"))


# Bad inputs, through the installed program


def assert_refused(cytoyolo: Program, lab: Path, code: int, words: str, *options: object, output: str = "out") -> None:
    """The call ends with one sentence and its exit code, and the files beside the output are as they were."""
    before = {path for path in lab.rglob("*") if path != lab / output}
    arguments = {"--images": lab / "images", "-o": lab / output, "--val": "0.25"}
    arguments |= dict(zip(options[::2], options[1::2], strict=True))
    if "--folds" in arguments and "--val" not in options:
        del arguments["--val"]
    done = cytoyolo("convert", lab / "labels.csv", *(part for pair in arguments.items() for part in pair if part != ""))
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("Read images ", "Stage images "))]
    assert len(lines) == 1 and lines[0].startswith("cytoyolo: "), done.stderr
    assert words in lines[0] and "fault of cytoyolo" not in lines[0], lines[0]
    assert (done.returncode, done.stdout) == (code, "")
    assert {path for path in lab.rglob("*") if path != lab / output} == before


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("../a.jpg,4,5,30,36,PNN", "line 14: path: image name '../a.jpg' has a path in it"),
        ("/etc/passwd,4,5,30,36,PNN", "line 14: path: image name '/etc/passwd' has a path in it"),
        ("..\\a.jpg,4,5,30,36,PNN", "has a path in it"),
        ("..,4,5,30,36,PNN", "line 14: path: the image name is '..'"),
        (",4,5,30,36,PNN", "line 14: blank: 4,5,30,36, NAME empty"),
        ("a\0.jpg,4,5,30,36,PNN", "NUL byte in line 14"),
        ("a\t.jpg,4,5,30,36,PNN", "line 14: path: image name 'a\\t.jpg' has a control character"),
        ('"a\n.jpg",4,5,30,36,PNN', "line 14: broken-row: a quote that does not close in its line"),
        ("a.png,4,5,30,36,PNN", "line 14: stem-collision: a.png, shares its stem with a.jpg"),
        ("a.jpg,4,5,30,36,XYZ", "line 14: unknown-class: 'XYZ', not one of the 23 classes of 'cytologia'"),
        ("a.jpg,4,5,30,36,pnn", "line 14: class-variant: 'pnn', is PNN"),
        ("a.jpg,4,5,30,36,", "line 14: blank: 4,5,30,36, class empty"),
        ("a.jpg,30,5,4,36,PNN", "line 14: inverted: 30,5,4,36, corners in the wrong order"),
        ("a.jpg,4,5,4,36,PNN", "line 14: zero-side: 4,5,4,36, a side under 1 px"),
        ("a.jpg,4,5,4.3,36,PNN", "line 14: zero-side: 4,5,4.3,36, a side under 1 px"),
        ("a.jpg,40,5,60,36,PNN", "line 14: outside: 40,5,60,36, wholly outside its image of 40x48 px"),
        ("a.jpg,-30,-30,-4,-5,PNN", "line 14: outside: -30,-30,-4,-5, wholly outside its image"),
        ("a.jpg,nan,5,30,36,PNN", "line 14: number: 'nan', x1 is not a number of pixels"),
        ("a.jpg,4,5,inf,36,PNN", "line 14: number: 'inf', x2 is not a number"),
        ("a.jpg,4,five,30,36,PNN", "line 14: number: 'five', y1 is not a number"),
        ("a.jpg,4,5,30,1e9,PNN", "line 14: number: '1e9', y2 is not a number"),
        ("a.jpg,4,5,30,36", "line 14"),
        ("a.jpg,4,5,30,36,PNN,1", "line 14: broken-row: more than 6 columns"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(row: str, words: str, lab: Path, cytoyolo: Program) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write(f"{row}\n")
    assert_refused(cytoyolo, lab, 1, words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "line 4: missing-image: c.jpg, no such file"),
        (b"", "line 4: unreadable: c.jpg, is empty"),
        (JPEG[: len(JPEG) - 99], "line 4: unreadable: c.jpg, is a truncated JPEG file"),
        (PNG[: len(PNG) // 2], "line 4: unreadable: c.jpg, is a damaged PNG file"),
        (b"no picture", "line 4: unreadable: c.jpg, is not a JPEG, PNG, BMP, TIFF or WEBP image"),
        (save(photo(1, 1), "PNG"), "line 4: unreadable: c.jpg, is 1x1 px, smaller than 10 px"),
        (empty_png(20_000, 20_000), "line 4: unreadable: c.jpg, has more than 89,478,485 pixels"),
        (resized_jpeg(JPEG, 9_500, 9_500), "line 4: unreadable: c.jpg, is 9500x9500 px, more than"),
    ],
    ids=["missing", "empty", "truncated", "damaged", "text", "1x1", "bomb", "small bomb"],
)
def test_a_bad_image_is_named_with_its_line(data: bytes | None, words: str, lab: Path, cytoyolo: Program) -> None:
    path = lab / "images" / "c.jpg"
    path.unlink() if data is None else path.write_bytes(data)
    assert_refused(cytoyolo, lab, 1, words)
    assert_refused(cytoyolo, lab, 1, "labels.csv can't be used: 1 finding (line 4")


def test_a_folder_in_place_of_an_image_is_named(lab: Path, cytoyolo: Program) -> None:
    (lab / "images" / "c.jpg").unlink()
    (lab / "images" / "c.jpg").mkdir()
    assert_refused(cytoyolo, lab, 1, "line 4: unreadable: c.jpg, can't be read (Is a directory)")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--images", "none"], 2, "none: no such image folder; check --images."),
        (["--images", "labels.csv"], 2, "no such image folder"),
        (["--images", "empty"], 1, "is an empty folder"),
        (["--val", "0"], 2, "--val is 0.0; give a share between 0 and 1"),
        (["--val", "1"], 2, "--val is 1.0"),
        (["--val", "-0.1"], 2, "--val is -0.1"),
        (["--val", "nan"], 2, "--val is nan"),
        (["--val", "much"], 2, "--val"),
        (["--val", "0.01"], 1, "leave 1 of 2 parts empty; use fewer folds, a larger --val or more images."),
        (["--folds", "1"], 2, "--folds is 1; give 2 or more."),
        (["--folds", "-3"], 2, "--folds is -3"),
        (["--folds", "13"], 1, "leave 1 of 13 parts empty"),
        (["--folds", "3", "--val", "0.2"], 2, "--val and --folds exclude each other"),
        (["--dataset", "nothing"], 2, "'nothing' is not a data set of this package"),
        (["--dataset", "pbc3"], 1, "not one of the 3 classes of 'pbc3'"),
        (["--groups", "none.csv"], 2, "none.csv: no such file"),
        (["--groups", "images"], 2, "is a folder; give a file."),
        (["--groups", "labels.csv"], 1, "needs the columns NAME,group"),
        (["--groups", "two.csv"], 1, "line 3: a.jpg is in two groups; keep one of its rows."),
        (["--groups", "strangers.csv"], 1, "names none of the images of the label table"),
        (["--groups", "bare.csv"], 1, "has a header but no rows"),
        (["--groups", "one.csv"], 1, "leave 1 of 2 parts empty"),
        (["-o", "labels.csv"], 2, "is a file; give the name of a folder."),
        (["-o", "images"], 2, "exists; give another folder or --overwrite."),
        (["--seed", "1.5"], 2, "--seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_is_one_sentence(options: list[str], code: int, words: str, lab: Path, cytoyolo: Program) -> None:
    (lab / "empty").mkdir()
    letters = "abcdefghijkl"
    (lab / "two.csv").write_text("NAME,group\na.jpg,s1\na.jpg,s2\na.jpg,s1\n")
    (lab / "strangers.csv").write_text("NAME,group\nz.jpg,s1\n")
    (lab / "bare.csv").write_text("NAME,group\n")
    (lab / "one.csv").write_text("NAME,group\n" + "".join(f"{letter}.jpg,s1\n" for letter in letters))
    paths = ("--images", "--groups", "-o")
    full = [lab / value if options[index - 1] in paths else value for index, value in enumerate(options)]
    assert_refused(cytoyolo, lab, code, words, *full)


def test_a_negative_seed_is_a_wrong_call(lab: Path, cytoyolo: Program) -> None:
    assert_refused(cytoyolo, lab, 2, "--seed is -1", "--seed", "-1")


def test_an_output_below_a_file_is_a_wrong_call(lab: Path, cytoyolo: Program) -> None:
    assert_refused(cytoyolo, lab, 2, "labels.csv", output="labels.csv/out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_folders_without_permission(lab: Path, cytoyolo: Program) -> None:
    (lab / "locked").mkdir(mode=0o500)
    assert_refused(cytoyolo, lab, 1, "ermission denied", output="locked/out")
    (lab / "images").chmod(0o300)
    assert_refused(cytoyolo, lab, 1, "images can't be read (Permission denied)")
    (lab / "images").chmod(0o700)


# An output that exists


def test_an_output_that_exists_is_replaced_only_on_request(lab: Path, cytoyolo: Program) -> None:
    call(lab)
    before = snapshot(lab / "out")
    assert_refused(cytoyolo, lab, 2, "exists; give another folder or --overwrite.")
    assert snapshot(lab / "out") == before
    call(lab, folds=3, overwrite=True)
    assert "fold2.yaml" in snapshot(lab / "out") and "train.txt" not in snapshot(lab / "out")
    assert sorted(path.name for path in lab.iterdir()) == ["images", "labels.csv", "out"]


@pytest.mark.parametrize("name", ["notes.txt", "images/mine.jpg", "labels/z.txt"])
def test_an_output_with_a_users_file_is_never_replaced(name: str, lab: Path) -> None:
    call(lab)
    (lab / "out" / name).write_text("keep me")
    with pytest.raises(UsageError, match="holds files this tool did not make"):
        call(lab, overwrite=True)
    assert (lab / "out" / name).read_text() == "keep me"


def test_a_folder_of_the_user_is_never_replaced(lab: Path) -> None:
    with pytest.raises(UsageError, match="holds files this tool did not make"):
        call(lab, "images", overwrite=True)
    assert len(list((lab / "images").iterdir())) == 12


def test_an_output_that_was_trained_on_can_be_replaced(lab: Path) -> None:
    call(lab)
    training_loader(lab / "out", "train.txt")
    call(lab, seed=1, overwrite=True)
    assert json.loads((lab / "out" / "dataset.json").read_text())["seed"] == 1


def test_an_empty_folder_is_filled(lab: Path) -> None:
    (lab / "out").mkdir()
    assert call(lab).images == 12
    assert (lab / "out" / "data.yaml").is_file()


def test_the_working_folder_is_refused_at_once(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lab / "work").mkdir()
    monkeypatch.chdir(lab / "work")
    with pytest.raises(UsageError, match="working folder"):
        convert("../labels.csv", images="../images", output=".", val=0.25)


def test_an_output_that_holds_the_input_images_is_not_replaced(lab: Path) -> None:
    call(lab, copy=True)
    before = snapshot(lab / "out" / "images")
    with pytest.raises(UsageError):
        convert(lab / "labels.csv", images=lab / "out" / "images", output=lab / "out", val=0.25, overwrite=True)
    assert snapshot(lab / "out" / "images") == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), SystemExit(143)])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_midway_leaves_what_was_there(
    error: BaseException, exists: bool, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exists:
        call(lab)
    before = snapshot(lab)

    def fail(facts: object, target: Path, copy: bool) -> None:
        target.write_bytes(b"half an image")
        raise error

    monkeypatch.setattr("cytoyolo.commands.convert.stage", fail)
    with pytest.raises(type(error)):
        call(lab, overwrite=exists, seed=5)
    assert snapshot(lab) == before
    assert sorted(path.name for path in lab.iterdir()) == ["images", "labels.csv", *(["out"] if exists else [])]


def test_a_missing_image_is_an_error_of_the_function_too(lab: Path) -> None:
    (lab / "images" / "c.jpg").unlink()
    with pytest.raises(CytoyoloError, match=r"line 4: missing-image: c\.jpg"):
        call(lab)
    assert not (lab / "out").exists()
