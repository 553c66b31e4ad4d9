"""`convert` from end to end: painted images, real sets, the training's own loader, and every bad input."""

import errno
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePath

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from cytoyolo import convert, smear
from cytoyolo.commands.apply import apply
from cytoyolo.commands.convert import Converted
from cytoyolo.commands.repair import repair
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.info import ImageInfo
from cytoyolo.spec import load_spec
from cytoyolo.yolo import writing
from cytoyolo.yolo.folder import differences, load_dataset
from cytoyolo.yolo.verify import verify
from tests.pictures import JPEG, PNG, REPAIRABLE, SOUND, Sample, empty_png, photo, resized_jpeg, rotated, save
from tests.properties import examples

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

    data = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    loaded = YOLODataset(str(folder / name), data=data, task="detect", imgsz=imgsz, augment=False)
    scanned = loaded.cache_labels(folder / "labels.cache")  # what it found, without a file being kept
    return loaded, tuple(scanned["results"]), scanned["msgs"]


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
    assert call(tmp_path / "lab").images_mended == len(REPAIRABLE)


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
    assert made == Converted(lab / "out", images=12, boxes=12, clipped=0, rounded=0, images_mended=0)
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


def test_groups_are_matched_as_people_write_them(lab: Path, cytoyolo: Program) -> None:
    names = [
        "A.JPG",
        " b.jpg ",
        "images/c.jpg",
        "C:\\scans\\d.jpg",
        "e",
        "f.png",
        "g.jpg",
        "h.jpg",
        "k.jpg",
        "gone.jpg",
    ]
    groups = ["P7", "p7 ", "P 7", "7", "7.0", "07", "Ärztin", "A\u0308rztin", "", "P7"]
    (lab / "groups.csv").write_text(
        "NAME,group\n" + "".join(f"{name},{group}\n" for name, group in zip(names, groups, strict=True))
    )
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--groups",
                    lab / "groups.csv", "--val", 0.25)  # fmt: skip
    assert done.returncode == 0
    table = pd.read_csv(lab / "out" / "images.csv", keep_default_na=False).set_index("NAME")
    assert {letter: table["group"][f"{letter}.jpg"] for letter in "abcdefghijkl"} == {
        **dict.fromkeys("abc", "P7"),
        **dict.fromkeys("def", "7"),
        **dict.fromkeys("gh", "Ärztin"),
        **dict.fromkeys("ijkl", ""),
    }
    assert table[table["group"] != ""].groupby("group")["part"].nunique().max() == 1
    assert "groups.csv: 1 of 10 names match no labelled image ('gone.jpg')." in done.stderr
    assert "4 of 12 images have no group, so each is a group of its own" in done.stderr
    assert "count as the same group ('P7' = 'p7 ' = 'P 7'; '7' = '7.0' = '07'; " in done.stderr
    assert "Held out for validation: " in done.stderr
    manifest = json.loads((lab / "out" / "dataset.json").read_text())
    grouping = manifest["grouping"]
    assert (grouping["names"], grouping["names_of_no_image"], grouping["images_without_group"]) == (10, 1, 4)
    assert grouping["joined"][1] == ["7", "7.0", "07"] and sum(manifest["parts"]["images"]) == 12


def test_a_group_that_may_stand_for_none_is_said(lab: Path, cytoyolo: Program) -> None:
    (lab / "groups.csv").write_text("NAME,group\na.jpg,NA\nb.jpg,NA\nc.jpg,P1\nd.jpg,Nadia\n")
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--groups",
                    lab / "groups.csv", "--val", 0.25)  # fmt: skip
    assert done.returncode == 0
    assert "groups.csv: 2 images are in a group called 'NA', which counts as any other group" in done.stderr


def test_a_groups_table_with_other_columns_is_not_sent_to_a_data_set(lab: Path, cytoyolo: Program) -> None:
    (lab / "groups.csv").write_text("NAME,patient\na.jpg,P1\nb.jpg,P2\n")
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--groups",
                    lab / "groups.csv")  # fmt: skip
    assert done.returncode == 1 and "(it lacks group); rename or add columns.\n" in done.stderr


def test_a_small_share_holds_out_one_image_and_says_so(lab: Path, cytoyolo: Program) -> None:
    done = cytoyolo("convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--val", 0.01)
    assert done.returncode == 0
    assert "Held out for validation: 1 of 12 images (8.3%; 1.0% was asked for)." in done.stderr


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
    assert "Boxes clipped, because they reached outside their image: 2." in done.stderr
    assert "Boxes rounded to whole pixels: 1." in done.stderr
    assert "Images repaired in the copy (see images.csv there): 1." in done.stderr
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
        ("../x.jpg,4,5,30,36,PNN", "line 14: missing-image: ../x.jpg, no such file, nor one called so in any folder"),
        ("/etc/passwd,4,5,30,36,PNN", "line 14: missing-image: /etc/passwd, no such file"),
        ("..\\x.jpg,4,5,30,36,PNN", "give the image folder that holds it"),
        ("..,4,5,30,36,PNN", "line 14: path: the image name is '..'"),
        (",4,5,30,36,PNN", "line 14: blank: 4,5,30,36, NAME empty"),
        ("a\0.jpg,4,5,30,36,PNN", "NUL byte in line 14"),
        ("a\t.jpg,4,5,30,36,PNN", "line 14: path: image name 'a\\t.jpg' has a control character"),
        ('"a\n.jpg",4,5,30,36,PNN', r"line 14: path: image name 'a\n.jpg' has a control character"),
        ("a.png,4,5,30,36,PNN", "line 14: ambiguous-name: a.png, a.jpg would fit, but other names mean that file"),
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
        (empty_png(20_000, 20_000), "line 4: unsupported: c.jpg, has more than 89,478,485 pixels"),
        (resized_jpeg(JPEG, 9_500, 9_500), "line 4: unsupported: c.jpg, is 9500x9500 px, more than"),
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
    assert_refused(cytoyolo, lab, 1, "line 4: missing-image: c.jpg, no such file")


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
        (["--folds", "1"], 2, "--folds is 1; give 2 or more."),
        (["--folds", "-3"], 2, "--folds is -3"),
        (["--folds", "13"], 1, "12 images can't make 13 folds; use 12 folds or fewer, or more images."),
        (["--folds", "3", "--val", "0.2"], 2, "--val and --folds can't be used together"),
        (["--dataset", "nothing"], 2, "'nothing' is not a data set of this package"),
        (["--dataset", "pbc3"], 1, "not one of the 3 classes of 'pbc3'"),
        (["--groups", "none.csv"], 2, "none.csv: no such file"),
        (["--groups", "images"], 2, "is a folder; give a file."),
        (["--groups", "labels.csv"], 1, "needs the columns NAME,group"),
        (["--groups", "two.csv"], 1, "line 3: a.jpg is in two groups; keep one of its rows."),
        (["--groups", "strangers.csv"], 1, "does not name any image of the label table"),
        (["--groups", "bare.csv"], 1, "has a header but no rows"),
        (["--groups", "one.csv"], 1, "all 12 images are in one group (s1), and a group is never divided"),
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

    monkeypatch.setattr(writing, "stage", fail)
    with pytest.raises(type(error)):
        call(lab, overwrite=exists, seed=5)
    assert snapshot(lab) == before
    assert sorted(path.name for path in lab.iterdir()) == ["images", "labels.csv", *(["out"] if exists else [])]


def test_a_missing_image_is_an_error_of_the_function_too(lab: Path) -> None:
    (lab / "images" / "c.jpg").unlink()
    with pytest.raises(CytoyoloError, match=r"line 4: missing-image: c\.jpg"):
        call(lab)
    assert not (lab / "out").exists()


# With a repair, and images that show the same


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of image facts of this test's own."""
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path_factory.mktemp("home")))


def loaded_boxes(folder: Path, names: tuple[str, ...] = ("train.txt", "val.txt")) -> Counter[str]:
    """How many boxes the training gets of each staged file, by stem; no image may be dropped, no box be empty."""
    seen: Counter[str] = Counter()
    for name in names:
        files = listed_files(folder, name)
        loaded, counts, messages = training_loader(folder, name)
        assert counts == (len(files), 0, 0, 0, len(files)) and messages == [], messages
        assert all((label["bboxes"][:, 2:] > 0).all() for label in loaded.labels)
        seen.update({Path(label["im_file"]).stem: len(label["cls"]) for label in loaded.labels})
    return seen


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_a_faulty_smear_becomes_a_set_that_the_training_takes_whole(tmp_path: Path, cytoyolo: Program) -> None:
    source = smear(output=tmp_path / "smear", images=100, test=0.1, seed=3, faults=0.5).folder
    before = snapshot(source)
    inputs = {"images": source / "images", "test": source / "test.csv"}
    done = cytoyolo("convert", source / "train.csv", "--images", inputs["images"], "--test", inputs["test"],
                    "--repair", "--val", 0.2, "-o", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in ("Rows repaired or dropped (see changes.csv there): ", "Images left out, because a test image shows",
                  "kept in the same part: ", "Boxes clipped, ", "repaired in the copy"):  # fmt: skip
        assert words in done.stderr
    clean = repair(source / "train.csv", **inputs, output=tmp_path / "clean.csv").table
    rows = pd.read_csv(clean)["NAME"]
    staged = pd.read_csv(tmp_path / "out" / "images.csv").set_index("NAME")["file"]
    assert loaded_boxes(tmp_path / "out") == Counter(Path(staged[name]).stem for name in rows)
    assert done.stdout == f"{tmp_path / 'out'}: {rows.nunique()} images, {len(rows)} boxes\n"
    assert (tmp_path / "out" / "changes.csv").read_bytes() == (tmp_path / "changes.csv").read_bytes()
    assert apply(source / "train.csv", tmp_path / "out" / "changes.csv") == clean.read_bytes()
    findings = pd.read_csv(tmp_path / "out" / "findings.csv")
    assert {"unreadable", "leak", "near-duplicate", "overhang", "exif-orientation"} <= set(findings["rule"])
    assert snapshot(source) == before


def copies_of(picture: Image.Image, form: str) -> bytes:
    """The picture once more, in another file."""
    width, height = picture.size
    changed = {
        "the same": picture,
        "encoded anew": picture,
        "mirrored": ImageOps.mirror(picture),
        "upside down": ImageOps.flip(picture),
        "turned": picture.transpose(Image.Transpose.ROTATE_90),
        "cropped": picture.crop((3, 2, width - 4, height - 5)),
        "resized": picture.resize((width * 4 // 5, height * 4 // 5)),
        "brighter": ImageEnhance.Brightness(picture).enhance(1.1),
        "PNG": picture,
    }[form]
    return (
        save(changed, "PNG") if form == "PNG" else save(changed, "JPEG", quality=60 if form == "encoded anew" else 90)
    )


FORMS = ("the same", "encoded anew", "mirrored", "upside down", "turned", "cropped", "resized", "brighter", "PNG")


def group_name(form: str) -> str:
    return form.replace(" ", "-")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Of nine pictures each an original and a copy, 18 pictures alone, and a test that shows one of the originals."""
    (tmp_path / "images").mkdir()
    rows = []
    for seed, form in enumerate(FORMS):
        original = photo(200, 160, seed=seed)
        files = {f"{group_name(form)}.jpg": save(original, "JPEG", quality=90)}
        files[f"{group_name(form)}-copy.{'png' if form == 'PNG' else 'jpg'}"] = copies_of(original, form)
        files |= {
            f"alone{seed}-{turn}.jpg": save(photo(200, 160, seed=100 + 2 * seed + turn), "JPEG") for turn in (0, 1)
        }
        for name, data in files.items():
            (tmp_path / "images" / name).write_bytes(data)
            rows.append(f"{name},20,25,90,100,{('PNN', 'EO', 'BA')[seed % 3]}\n")
    (tmp_path / "labels.csv").write_text(HEADER + "".join(rows))
    (tmp_path / "images" / "test.jpg").write_bytes(save(ImageOps.mirror(photo(200, 160, seed=2)), "JPEG", quality=70))
    (tmp_path / "test.csv").write_text("trustii_id,NAME\n1,test.jpg\n")
    return tmp_path


def sides(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "images.csv", keep_default_na=False).set_index("NAME")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("options", [{"val": 0.3}, {"folds": 4}, {"folds": 4, "repair": True}], ids=str)
def test_copies_are_never_parted(options: dict[str, object], copied: Path) -> None:
    for seed in range(3):
        made = call(copied, f"out{seed}", seed=seed, **options)
        assert made.copies == len(FORMS)
        table = sides(copied / f"out{seed}")
        for form in FORMS:
            pair = table[table.index.str.match(rf"{group_name(form)}(-copy)?\.")]
            assert len(pair) == 2 and len(set(pair["part"])) == 1, form
            assert set(pair["group"]) == {f"copies of {group_name(form)}.jpg"}
        assert set(table["group"][table.index.str.startswith("alone")]) == {""}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("mended", [False, True])
def test_what_the_test_shows_is_kept_out(mended: bool, copied: Path, cytoyolo: Program) -> None:
    options = ["--repair"] if mended else []
    done = cytoyolo("convert", copied / "labels.csv", "--images", copied / "images", "--test", copied / "test.csv",
                    "-o", copied / "out", "--val", 0.25, *options)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Images left out, because a test image shows the same: 2.\n" in done.stderr
    kept = set(sides(copied / "out").index)
    assert kept == {path.name for path in (copied / "images").iterdir()} - {
        "test.jpg", "mirrored.jpg", "mirrored-copy.jpg",
    }  # fmt: skip


def test_an_image_of_the_test_table_is_kept_out(lab: Path) -> None:
    (lab / "test.csv").write_text("trustii_id,NAME\n1,c.jpg\n2,elsewhere.jpg\n")
    made = call(lab, test=lab / "test.csv")
    assert (made.images, made.leaked) == (11, 1) and "c.jpg" not in set(sides(lab / "out").index)
    manifest = json.loads((lab / "out" / "dataset.json").read_text())
    assert manifest["test"]["name"] == "test.csv" and len(manifest["test"]["sha256"]) == 64


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("mended", [False, True])
def test_groups_of_the_user_and_of_copies_that_touch_are_one(mended: bool, copied: Path) -> None:
    lines = ["the-same.jpg,s1", "alone0-0.jpg,s1", "the-same-copy.jpg,s2", "alone1-0.jpg,s2", "alone2-0.jpg,s3"]
    (copied / "groups.csv").write_text("NAME,group\n" + "".join(f"{line}\n" for line in lines))
    for seed in range(3):
        call(copied, f"out{seed}", folds=4, groups=copied / "groups.csv", seed=seed, repair=mended)
        table = sides(copied / f"out{seed}")
        joined = ["the-same.jpg", "the-same-copy.jpg", "alone0-0.jpg", "alone1-0.jpg"]
        assert set(table["group"][joined]) == {"s1 + s2"} and len(set(table["part"][joined])) == 1
        assert table["group"]["alone2-0.jpg"] == "s3"
        assert table[table["group"] != ""].groupby("group")["part"].nunique().max() == 1


@pytest.mark.usefixtures("home")
def test_copies_can_be_parted_on_request(copied: Path) -> None:
    (copied / "mine.yaml").write_text("near-duplicate: {action: keep}\nsame-pixels: {action: keep}\n")
    made = call(copied, config=copied / "mine.yaml", repair=True)
    groups = set(sides(copied / "out")["group"])
    assert made.copies == 1 and groups == {"", "copies of the-same.jpg"}


# Masks


@pytest.fixture
def curated(lab: Path) -> Path:
    """The lab's table with masks: over the edge of a.jpg, at the box of b.jpg, and in z.jpg, which has no label."""
    (lab / "images" / "z.jpg").write_bytes(save(photo(seed=77), "JPEG"))
    rows = (lab / "labels.csv").read_text().splitlines(keepends=True)
    rows.insert(1, "a.jpg,-5,38,20,60,msk\n")
    (lab / "labels.csv").write_text("".join(rows) + "b.jpg,20,30,40,48,msk\nb.jpg,0,0,3,2,msk\nz.jpg,1,2,9,9,msk\n")
    return lab


# The pixels painted, as [y, x] slices; in b.jpg the box 4,5,30,36 keeps 2 px around it.
PAINTED = {
    "a": [(slice(38, 48), slice(0, 20))],
    "b": [(slice(38, 48), slice(20, 40)), (slice(30, 38), slice(32, 40)), (slice(0, 2), slice(0, 3))],
}


@pytest.mark.parametrize("fill", ["black", "background"])
def test_masks_are_painted_and_all_images_encoded_alike(fill: str, curated: Path, cytoyolo: Program) -> None:
    before = snapshot(curated)
    done = cytoyolo("convert", curated / "labels.csv", "--images", curated / "images", "-o", curated / "out",
                    "--val", 0.25, "--mask-fill", fill)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{curated / 'out'}: 12 images, 12 boxes\n"), done.stderr
    assert done.stderr == (
        "Images with ignore regions painted over (so that all images are staged as PNG): 2.\n"
        "Images left out because all of their rows are ignore regions: 1.\n"
    )
    assert {path.name for path in (curated / "out" / "images").iterdir()} == {f"{one}.png" for one in "abcdefghijkl"}
    for stem in "abcdefghijkl":
        staged, file = cv2.imread(str(curated / "out" / "images" / f"{stem}.png")), curated / "images" / f"{stem}.jpg"
        expected = cv2.imread(str(file))
        bare = np.ones(expected.shape[:2], dtype=bool)
        bare[5:36, 4:30] = False
        bare[38:48, 0:20] &= stem != "a"
        bare[30:48, 20:40] &= stem != "b"
        bare[0:2, 0:3] &= stem != "b"
        colour = 0 if fill == "black" else np.median(expected[bare], axis=0).astype(np.uint8)
        for place in PAINTED.get(stem, []):
            assert not np.array_equal(expected[place], np.broadcast_to(colour, expected[place].shape))
            expected[place] = colour
        np.testing.assert_array_equal(staged, expected)
    table = sides(curated / "out")
    assert table["repairs"].to_dict() == {f"{one}.jpg": "masked" if one in "ab" else "" for one in "abcdefghijkl"}
    assert table["file"].tolist() == [f"{one}.png" for one in "abcdefghijkl"]
    manifest = json.loads((curated / "out" / "dataset.json").read_text())
    assert (manifest["mask_fill"], manifest["masks"], manifest["images"]) == (fill, 3, 12)
    assert sum(manifest["boxes"].values()) == 12
    assert {name: data for name, data in snapshot(curated).items() if not name.startswith("out/")} == before
    verify(load_dataset(curated / "out"), None)


def test_the_training_takes_a_masked_set_whole(curated: Path) -> None:
    made = call(curated)
    assert made == Converted(curated / "out", 12, 12, clipped=0, rounded=0, images_mended=0, painted=2, left_out=1)
    assert loaded_boxes(curated / "out") == Counter("abcdefghijkl")
    labels = {path.name: path.read_bytes() for path in (curated / "out" / "labels").iterdir()}
    text = (curated / "labels.csv").read_text().splitlines(keepends=True)
    (curated / "labels.csv").write_text("".join(line for line in text if ",msk" not in line))
    call(curated, "plain")
    assert {path.name: path.read_bytes() for path in (curated / "plain" / "labels").iterdir()} == labels
    manifests = [json.loads((curated / name / "dataset.json").read_text()) for name in ("out", "plain")]
    assert [one["mask_fill"] for one in manifests] == ["black", None] and manifests[1]["masks"] == 0
    assert [one["images_sha256"] for one in manifests] == [manifests[0]["images_sha256"]] * 2
    splits = [
        [[PurePath(line).stem for line in listed_files(curated / name, part)] for part in ("train.txt", "val.txt")]
        for name in ("out", "plain")
    ]
    assert splits[0] == splits[1]


def test_a_masked_set_is_the_same_to_the_byte_each_time(curated: Path) -> None:
    call(curated)
    call(curated, "again", copy=True)
    once, again = snapshot(curated / "out"), snapshot(curated / "again")
    assert {name for name in once if once[name] != again.get(name)} == {"dataset.json"}
    assert once.keys() == again.keys() and not any(isinstance(content, str) for content in once.values())


def test_masks_of_images_without_labels_alone_change_nothing(lab: Path) -> None:
    (lab / "images" / "z.jpg").write_bytes(save(photo(seed=77), "JPEG"))
    call(lab, "plain")
    with (lab / "labels.csv").open("a") as file:
        file.write("z.jpg,1,2,9,9,msk\n")
    made = call(lab)
    assert (made.images, made.painted, made.left_out) == (12, 0, 1)
    assert (lab / "out" / "images" / "a.jpg").is_symlink()
    plain, masked = snapshot(lab / "plain"), snapshot(lab / "out")
    assert {name for name in plain if plain[name] != masked.get(name)} == {"dataset.json"}
    assert json.loads(masked["dataset.json"])["mask_fill"] is None


def test_a_run_is_not_resumed_on_another_fill(curated: Path) -> None:
    call(curated)
    call(curated, "other", mask_fill="background")
    first, second = (json.loads((curated / name / "dataset.json").read_text()) for name in ("out", "other"))
    assert differences(first, second) == ["mask_fill"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,50,5,60,36,msk", "line 14: mask: 50,5,60,36, wholly outside its image of 40x48 px"),
        ("a.jpg,-9,5,-2,36,msk", "line 14: mask: -9,5,-2,36, wholly outside its image of 40x48 px"),
        (
            "a.jpg,30,5,4,36,msk",
            "line 14: mask: 30,5,4,36, nothing between its corners, or they are in the wrong order",
        ),
        ("a.jpg,4,5,4,36,msk", "line 14: mask: 4,5,4,36, nothing between its corners"),
        ("a.jpg,4,five,30,36,msk", "line 14: mask: '4,five,30,36', a corner is not a number of pixels"),
        ("a.jpg,4,,30,36,msk", "line 14: mask: '4,,30,36', a corner is not a number of pixels"),
        ("zz.jpg,4,5,30,36,msk", "line 14: mask: 4,5,30,36, the image folder has no file zz.jpg"),
        ("../x.jpg,4,5,30,36,msk", "line 14: mask: 4,5,30,36, the image folder has no file ../x.jpg"),
        ("a.jpg,4,5,30,36, MSK", "line 14: class-variant: ' MSK', is msk"),
        ("a.jpg,4,5,30,msk", "line 14: broken-row: fewer than 6 columns"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_mask_that_cannot_be_painted_is_refused_or_dropped(
    row: str, words: str, lab: Path, cytoyolo: Program
) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write(f"{row}\n")
    assert_refused(cytoyolo, lab, 1, words)
    assert_refused(cytoyolo, lab, 1, "can't be used: 1 finding (line 14")
    assert_refused(cytoyolo, lab, 1, "; mend or delete them, or let --repair do it.")
    made = call(lab, repair=True)
    assert (made.images, made.changes, made.left_out) == (12, 1, 0)
    assert made.painted == (1 if row.endswith("MSK") else 0)


@pytest.mark.usefixtures("home")
def test_a_config_that_keeps_a_mask_outside_is_refused(lab: Path) -> None:
    (lab / "mine.yaml").write_text("mask: {action: keep}\n")
    with (lab / "labels.csv").open("a") as file:
        file.write("a.jpg,50,5,60,36,msk\n")
    with pytest.raises(CytoyoloError, match="line 14: mask"):
        call(lab, repair=True, config=lab / "mine.yaml")


def test_a_table_of_masks_alone_is_refused(lab: Path, cytoyolo: Program) -> None:
    (lab / "labels.csv").write_text(f"{HEADER}a.jpg,4,5,30,36,msk\n")
    assert_refused(
        cytoyolo, lab, 1, "all rows left are ignore regions (class msk); give the labels of the images as well."
    )


@pytest.mark.parametrize("fill", ["grey", "", "Black"])
def test_a_fill_that_does_not_exist_is_a_wrong_call(fill: str, lab: Path) -> None:
    with pytest.raises(UsageError, match=rf"mask_fill='{fill}'; give black or background\.$"):
        call(lab, mask_fill=fill)
    assert not (lab / "out").exists()


def test_the_program_refuses_a_fill_that_does_not_exist(lab: Path, cytoyolo: Program) -> None:
    assert_refused(cytoyolo, lab, 2, "--mask-fill is 'grey'; give black or background.", "--mask-fill", "grey")


def test_what_the_test_shows_is_kept_out_with_its_masks(curated: Path) -> None:
    (curated / "test.csv").write_text("trustii_id,NAME\n1,a.jpg\n")
    made = call(curated, test=curated / "test.csv")
    assert (made.images, made.leaked, made.painted, made.left_out) == (11, 1, 1, 1)


@pytest.mark.usefixtures("home")
def test_masks_follow_the_repairs_of_their_image(tmp_path: Path) -> None:
    """An image under another name, and one whose boxes and masks were drawn before its EXIF turn."""
    samples = plain(*(f"{letter}.jpg" for letter in "abcd"))
    rows = "".join(f"{sample.name},4,5,30,36,PNN\n" for sample in samples[1:])
    # 40 x 48 in the file, 48 x 40 upright.
    rows += "A.JPEG,4,5,30,36,PNN\nA.JPEG,32,0,40,48,msk\nturned.jpg,4,30,20,46,EO\nturned.jpg,25,2,40,12,msk\n"
    write(tmp_path, [*samples, Sample("turned.jpg", rotated("JPEG", 6), (), SOUND[0].pixels)], rows)
    with pytest.raises(CytoyoloError, match="boxes-unturned"):
        call(tmp_path)
    made = call(tmp_path, repair=True)
    assert (made.images, made.painted, made.left_out) == (5, 2, 0)
    table = sides(tmp_path / "out")["repairs"]
    assert (table["a.jpg"], table["turned.jpg"]) == ("masked", "EXIF orientation; masked")
    shown, original = (cv2.imread(str(tmp_path / path)) for path in ("out/images/a.png", "images/a.jpg"))
    assert not shown[:, 32:].any()
    np.testing.assert_array_equal(shown[:, :32], original[:, :32])
    shown = cv2.imread(str(tmp_path / "out" / "images" / "turned.png"))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "images" / "turned.jpg")).convert("RGB"))
    stored = np.asarray(Image.open(tmp_path / "images" / "turned.jpg")).copy()
    assert stored.shape == (48, 40, 3) and upright.shape == (40, 48, 3)
    painted = (shown[..., ::-1] != upright).any(axis=2)
    expected = np.zeros((48, 40), dtype=bool)
    expected[2:12, 25:40] = True
    np.testing.assert_array_equal(painted, np.rot90(expected, -1))
    assert not shown[painted].any()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), SystemExit(143)])
def test_a_failure_amid_painting_leaves_what_was_there(
    error: BaseException, curated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(curated)
    real = writing.stage_painted

    def fail(facts: ImageInfo, target: Path, *arguments: object) -> str:
        if facts.path.name == "c.jpg":
            target.write_bytes(b"half an image")
            raise error
        return real(facts, target, *arguments)

    monkeypatch.setattr(writing, "stage_painted", fail)
    with pytest.raises(type(error)):
        call(curated)
    assert snapshot(curated) == before and sorted(path.name for path in curated.iterdir()) == ["images", "labels.csv"]


def test_an_image_that_changes_before_it_is_painted_is_named(curated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = writing.stage_painted

    def late(facts: ImageInfo, *arguments: object) -> str:
        if facts.path.name == "c.jpg":
            facts.path.write_bytes(PNG)
        return real(facts, *arguments)

    monkeypatch.setattr(writing, "stage_painted", late)
    with pytest.raises(CytoyoloError, match=r"c\.jpg was changed while it was converted"):
        call(curated)
    assert not (curated / "out").exists()


@pytest.mark.slow
def test_a_curated_real_set(shared: Path, tmp_path: Path, cytoyolo: Program) -> None:
    """As the reference writes them: masks anywhere in the table, some over the edge or a label, some once labels."""
    source, random = shared / "wbc5", np.random.default_rng(0)
    table = pd.read_csv(source / "train.csv")
    names = table["NAME"].unique()
    turned = table.index[::40]  # labels that became masks
    table.loc[turned, "class"] = "msk"
    corner = random.integers(-30, 330, (150, 2))
    boxes = np.concatenate([corner, corner + random.integers(31, 200, (150, 2))], axis=1)
    masks = pd.DataFrame(boxes, columns=["x1", "y1", "x2", "y2"]).assign(NAME=random.choice(names, 150))
    table = pd.concat([table, masks.assign(**{"class": "msk"})]).sample(frac=1, random_state=0)
    with_size = {name: Image.open(source / "images" / name).size for name in names}
    width, height = (table["NAME"].map(lambda name, axis=axis: with_size[name][axis]) for axis in (0, 1))
    table = table[(table["x1"] < width) & (table["y1"] < height) & (table["x2"] > 0) & (table["y2"] > 0)]
    table[pd.read_csv(source / "train.csv").columns].to_csv(tmp_path / "curated.csv", index=False)
    done = cytoyolo("convert", tmp_path / "curated.csv", "--images", source / "images", "-o", tmp_path / "out",
                    "--dataset", "wbc5", "--val", 0.1)  # fmt: skip
    assert done.returncode == 0, done.stderr
    is_mask = table["class"] == "msk"
    labelled, masked = set(table["NAME"][~is_mask]), set(table["NAME"][is_mask])
    assert f": {len(labelled)} images, {(~is_mask).sum()} boxes\n" in done.stdout
    assert f"PNG): {len(labelled & masked)}.\n" in done.stderr
    assert f"all of their rows are ignore regions: {len(masked - labelled)}.\n" in done.stderr
    for name, rows in table[table["NAME"].isin(labelled)].groupby("NAME"):
        original = cv2.imread(str(source / "images" / name))
        staged = cv2.imread(str(tmp_path / "out" / "images" / f"{Path(name).stem}.png"))
        for x1, y1, x2, y2 in rows.loc[rows["class"] == "msk", ["x1", "y1", "x2", "y2"]].to_numpy().clip(0).tolist():
            original[y1:y2, x1:x2] = 0
        for x1, y1, x2, y2 in rows.loc[rows["class"] != "msk", ["x1", "y1", "x2", "y2"]].to_numpy().tolist():
            near = slice(max(y1 - 2, 0), y2 + 2), slice(max(x1 - 2, 0), x2 + 2)
            original[near] = cv2.imread(str(source / "images" / name))[near]
        np.testing.assert_array_equal(staged, original)
    verify(load_dataset(tmp_path / "out"), None)


# Anything a user may bring

NAMES = (
    "sound.jpg",
    "sound2.jpg",
    "turned.jpg",
    "open.jpg",
    "png.jpg",
    "cut.jpg",
    "SOUND.JPG",
    "sound.png",
    "gone.jpg",
)
CLASSES = ("PNN", "PNN", "EO", "msk", "pnn", "XYZ", "")
NUMBER = st.one_of(st.integers(-12, 60).map(str), st.sampled_from(["5", "30", "", "x", "nan", "1e9", "7.5", " 8"]))
ROW = st.tuples(st.sampled_from(NAMES), NUMBER, NUMBER, NUMBER, NUMBER, st.sampled_from(CLASSES)).map(",".join)
CORNER = st.integers(-4, 20).map(str)
FAR_CORNER = st.integers(24, 52).map(str)
GOOD_ROW = st.tuples(
    st.sampled_from(NAMES), CORNER, CORNER, FAR_CORNER, FAR_CORNER, st.sampled_from(CLASSES[:5])
).map(",".join)  # fmt: skip


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which some are sound, some can be mended, and some can't."""
    folder = tmp_path_factory.mktemp("anything")
    (folder / "images").mkdir()
    files = {
        "sound.jpg": JPEG,
        "sound2.jpg": save(photo(seed=8), "JPEG"),
        "turned.jpg": rotated("JPEG", 6),
        "open.jpg": save(photo(seed=9), "JPEG")[:-2],
        "png.jpg": save(photo(seed=10), "PNG"),
        "cut.jpg": JPEG[: len(JPEG) // 2],
    }
    for name, data in files.items():
        (folder / "images" / name).write_bytes(data)
    return folder


@pytest.mark.slow
@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.one_of(GOOD_ROW, GOOD_ROW, GOOD_ROW, ROW), min_size=2, max_size=14),
    end=st.sampled_from(["\n", ""]),
)
@pytest.mark.usefixtures("home")
def test_any_table_with_real_images_is_converted_or_refused_in_a_sentence(
    anything: Path, rows: list[str], end: str
) -> None:
    (anything / "labels.csv").write_text(HEADER + "\n".join(rows) + end)
    shutil.rmtree(anything / "out", ignore_errors=True)
    try:
        made = call(anything, val=0.5, repair=True)
    except CytoyoloError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        assert not (anything / "out").exists()
        return
    findings = pd.read_csv(anything / "out" / "findings.csv", keep_default_na=False)
    if "transposed" not in set(findings["rule"]):  # such boxes stay for a person to look at, see below
        assert sum(loaded_boxes(anything / "out").values()) == made.boxes


@pytest.mark.usefixtures("home")
def test_a_box_that_fits_only_with_axes_swapped_does_not_end_empty(lab: Path) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write("a.jpg,2,50,30,40,EO\nb.jpg,42,2,47,30,EO\n")
    call(lab, repair=True)
    loaded_boxes(lab / "out")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("mended", [False, True])
def test_a_box_of_which_less_than_a_pixel_is_inside_does_not_end_empty(mended: bool, lab: Path) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write("a.jpg,-30,5,0.4,36,EO\n")
    try:
        call(lab, repair=mended)
    except CytoyoloError:
        return
    loaded_boxes(lab / "out")


UNUSABLE = {
    "number": "a.jpg,x,5,30,36,PNN",
    "class-variant": "a.jpg,4,5,20,26,pnn",
    "unknown-class": "a.jpg,4,5,20,26,XYZ",
    "missing-image": "zz.jpg,4,5,30,36,PNN",
    "unreadable": "notes.jpg,4,5,30,36,PNN",
    "inverted": "a.jpg,38,5,30,36,PNN",
    "outside": "a.jpg,50,5,60,36,PNN",
    "zero-side": "a.jpg,5,5,5,36,PNN",
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("rule", UNUSABLE)
def test_a_config_that_keeps_what_no_training_can_use_is_refused(rule: str, lab: Path) -> None:
    (lab / "images" / "notes.jpg").write_text("no picture")
    (lab / "mine.yaml").write_text(f"{rule}: {{action: keep}}\n")
    with (lab / "labels.csv").open("a") as file:
        file.write(f"{UNUSABLE[rule]}\n")
    with pytest.raises(CytoyoloError, match=f"line 14: {rule}"):
        call(lab, repair=True, config=lab / "mine.yaml")


@pytest.mark.usefixtures("home")
def test_an_image_that_a_config_leaves_in_is_not_said_to_be_kept_out(lab: Path) -> None:
    (lab / "test.csv").write_text("trustii_id,NAME\n1,c.jpg\n")
    (lab / "mine.yaml").write_text("leak: {action: review}\n")
    made = call(lab, repair=True, config=lab / "mine.yaml", test=lab / "test.csv")
    assert (made.images, made.leaked) == (12, 0)


def test_a_config_counts_without_a_repair_too(lab: Path) -> None:
    (lab / "test.csv").write_text("trustii_id,NAME\n1,c.jpg\n")
    (lab / "mine.yaml").write_text("leak: {action: keep}\n")
    try:
        made = call(lab, config=lab / "mine.yaml", test=lab / "test.csv")
    except UsageError:
        return
    assert made.images == 12


@pytest.mark.parametrize("row", ["..,4,5,30,36,PNN", "b\t.jpg,4,5,30,36,PNN"])
def test_no_repair_is_proposed_where_a_repair_stops_too(row: str, lab: Path) -> None:
    (lab / "images" / "a.png").write_bytes(PNG)
    with (lab / "labels.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(CytoyoloError) as refused:
        call(lab)
    assert "repair=True" not in str(refused.value)


@pytest.mark.parametrize("row", ["a.jpg,4,5", ",4,5,30,36,PNN"])
def test_a_row_without_values_is_one_finding(row: str, lab: Path) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(CytoyoloError, match="can't be used: 1 finding "):
        call(lab)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("name", "copy"), [("a.jpg", True), ("open.jpg", False)])
def test_an_image_that_changes_before_it_is_copied_is_named(
    name: str, copy: bool, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab / "images" / "open.jpg").write_bytes(JPEG[:-2])
    with (lab / "labels.csv").open("a") as file:
        file.write("open.jpg,4,5,30,36,PNN\n")
    real = writing.stage

    def late(facts: ImageInfo, target: Path, copied: bool) -> str:
        if facts.path.name == name:
            facts.path.write_bytes(b"something else")
        return real(facts, target, copied)

    monkeypatch.setattr(writing, "stage", late)
    with pytest.raises(CytoyoloError, match=name):
        call(lab, repair=True, copy=copy)
    assert not (lab / "out").exists()


# Names, sub-folders, images without cells


@pytest.fixture
def tree(lab: Path) -> Path:
    """The lab with images in two folders, whose files have the same names: a.jpg to f.jpg and g.jpg to l.jpg."""
    for folder, letters in (("s1", "abcdef"), ("s2", "ghijkl")):
        (lab / "images" / folder).mkdir()
        for new, old in zip("abcdef", letters, strict=True):
            (lab / "images" / f"{old}.jpg").rename(lab / "images" / folder / f"{new}.jpg")
    return lab


def renamed(lab: Path, change: Callable[[str], str]) -> None:
    header, *rows = (lab / "labels.csv").read_text().splitlines()
    changed = [",".join([change(row.split(",")[0]), *row.split(",")[1:]]) for row in rows]
    (lab / "labels.csv").write_text("\n".join([header, *changed]) + "\n")


def in_folder(name: str) -> str:
    letter = name[0]
    return f"s1/{name}" if letter < "g" else f"s2/{'abcdef'['ghijkl'.index(letter)]}.jpg"


@pytest.mark.parametrize(
    "change",
    [
        in_folder,
        lambda name: "./" + in_folder(name),
        lambda name: "C:\\Users\\anna\\" + in_folder(name).replace("/", "\\"),
        lambda name: f"file:///data/{in_folder(name).upper()}",
    ],
)
def test_names_with_folders_are_staged_flat_under_names_of_their_own(change: Callable[[str], str], tree: Path) -> None:
    renamed(tree, change)
    made = call(tree)
    table = pd.read_csv(tree / "out" / "images.csv")
    assert table["NAME"].tolist() == [in_folder(f"{letter}.jpg") for letter in "abcdefghijkl"]
    assert table["file"].tolist() == [name.replace("/", "__") for name in table["NAME"]]
    assert {path.stem for path in (tree / "out" / "labels").iterdir()} == {Path(one).stem for one in table["file"]}
    for name, file in zip(table["NAME"], table["file"], strict=True):
        assert (tree / "out" / "images" / file).samefile(tree / "images" / name)
    assert len(made.renamed) == (0 if change is in_folder else 12)
    verify(load_dataset(tree / "out"), None)


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.usefixtures("home")
def test_images_without_cells_have_empty_label_files(repair: bool, lab: Path, cytoyolo: Program) -> None:
    for number in range(4):
        (lab / "images" / f"none{number}.png").write_bytes(save(photo(seed=50 + number), "PNG"))
    with (lab / "labels.csv").open("a") as file:
        file.write("".join(f"none{number}.png,,,,,\n" for number in range(4)) + "a.jpg,,,,,\n")
    options = ["--repair"] if repair else []
    done = cytoyolo(
        "convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--val", 0.5, *options
    )
    assert done.returncode == 0, done.stderr
    assert "Images without cells: 4.\n" in done.stderr and "their image has boxes: 1." in done.stderr
    assert done.stdout.endswith("out: 16 images, 12 boxes\n")
    table = pd.read_csv(lab / "out" / "images.csv").set_index("NAME")
    assert [(lab / "out" / "labels" / f"none{number}.txt").read_bytes() for number in range(4)] == [b""] * 4
    assert (lab / "out" / "labels" / "a.txt").read_bytes() != b""
    assert sorted(table["part"][[f"none{number}.png" for number in range(4)]]) == [0, 0, 1, 1]
    assert json.loads((lab / "out" / "dataset.json").read_text())["without_cells"] == 4
    verify(load_dataset(lab / "out"), None)


def test_a_mask_of_an_image_without_cells_is_painted(lab: Path) -> None:
    (lab / "images" / "none.png").write_bytes(PNG)
    with (lab / "labels.csv").open("a") as file:
        file.write("none.png,,,,,\nnone.png,2,2,9,9,msk\n")
    made = call(lab)
    assert (made.without_cells, made.painted, made.left_out) == (1, 1, 0)
    assert not cv2.imread(str(lab / "out" / "images" / "none.png"))[2:9, 2:9].any()
    assert (lab / "out" / "labels" / "none.txt").read_bytes() == b""


def test_two_images_of_one_stem_have_label_files_of_their_own(lab: Path) -> None:
    (lab / "images" / "a.png").write_bytes(PNG)
    with (lab / "labels.csv").open("a") as file:
        file.write("a.png,1,2,20,22,EO\n")
    call(lab)
    names = {path.name for path in (lab / "out" / "labels").iterdir()}
    assert {"a.jpg.txt", "a.png.txt", "b.txt"} < names and len(names) == 13


@pytest.mark.usefixtures("printed")
def test_where_no_links_can_be_made_images_are_copied_and_that_is_said(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    call(lab)
    said = capsys.readouterr().err
    assert "so the images are copied: 12 files, " in said and said.count("copied") == 1
    assert json.loads((lab / "out" / "dataset.json").read_text())["copy"] is True
    for letter in "abcdefghijkl":
        staged = lab / "out" / "images" / f"{letter}.jpg"
        assert not staged.is_symlink() and staged.read_bytes() == (lab / "images" / f"{letter}.jpg").read_bytes()
