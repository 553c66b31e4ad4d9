"""`--background`: images without cells that are listed beside the table become rows of it, and can be taken back."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import cytoyolo
from cytoyolo.annotations.background import with_background
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.convert import Converted
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.verify import verify
from tests.pictures import photo, save

NAMES = [f"{letter}.jpg" for letter in "abcdefgh"]
EMPTY = [f"none/{number}.png" for number in range(4)]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Eight images with a box each, and four without cells in the sub-folder `none`."""
    images = tmp_path / "images"
    (images / "none").mkdir(parents=True)
    for seed, name in enumerate([*NAMES, *EMPTY]):
        (images / name).write_bytes(save(photo(seed=seed), "JPEG" if name.endswith("jpg") else "PNG"))
    rows = [f"{name},4,5,30,36,{('PNN', 'EO')[index % 2]}" for index, name in enumerate(NAMES)]
    (tmp_path / "labels.csv").write_text("\n".join(["NAME,x1,y1,x2,y2,class", *rows]) + "\n")
    return tmp_path


def listed(lab: Path, text: str, name: str = "background.csv") -> Path:
    (lab / name).write_text(text)
    return lab / name


def convert(lab: Path, background: Path, **settings: object) -> Converted:
    options = {"val": 0.25} | settings
    return cytoyolo.convert(
        lab / "labels.csv", images=lab / "images", output=lab / "out", background=background, **options
    )


@pytest.mark.parametrize(
    "text",
    [
        "NAME\n" + "\n".join(EMPTY),
        "\n".join(EMPTY) + "\n\n",
        "\ufeffname;remark\r\n" + "\r\n".join(f"{name};empty" for name in EMPTY),
        "\n".join(name.replace("/", "\\").upper() for name in EMPTY),
        "\n".join([*EMPTY, *EMPTY]),
    ],
)
def test_listed_images_have_empty_label_files_and_are_spread_over_the_parts(text: str, lab: Path) -> None:
    made = convert(lab, listed(lab, text), folds=4, val=None)
    assert (made.images, made.boxes, made.without_cells, made.changes) == (12, 8, 4, 0)
    listing = pd.read_csv(lab / "out" / "images.csv").set_index("NAME")
    assert sorted(listing["part"][EMPTY]) == [0, 1, 2, 3]
    for name in EMPTY:
        assert (lab / "out" / "labels" / f"{name.replace('/', '__')[:-4]}.txt").read_bytes() == b""
    manifest = json.loads((lab / "out" / "dataset.json").read_text())
    assert manifest["without_cells"] == 4 and manifest["background"]["name"] == "background.csv"
    verify(load_dataset(lab / "out"), 0)


def test_a_folder_in_the_image_folder_is_a_list_of_its_images(lab: Path) -> None:
    made = convert(lab, lab / "images" / "none")
    assert (made.images, made.without_cells) == (12, 4)
    assert json.loads((lab / "out" / "dataset.json").read_text())["background"] == {"name": "none"}


def test_it_gives_what_rows_of_only_a_name_give(lab: Path) -> None:
    convert(lab, listed(lab, "\n".join(EMPTY)))
    with (lab / "labels.csv").open("a") as file:
        file.write("".join(f"{name},,,,,\n" for name in EMPTY))
    cytoyolo.convert(lab / "labels.csv", images=lab / "images", output=lab / "rows", val=0.25)
    for name in ("images.csv", "labels.csv", "train.txt", "val.txt"):
        assert (lab / "out" / name).read_bytes() == (lab / "rows" / name).read_bytes()


def test_a_repair_writes_them_as_rows_and_undo_takes_them_back(lab: Path) -> None:
    background = listed(lab, "\n".join(EMPTY))
    repaired = cytoyolo.repair(
        lab / "labels.csv", images=lab / "images", background=background, output=lab / "clean.csv"
    )
    before = (lab / "labels.csv").read_bytes()
    assert (lab / "clean.csv").read_bytes() == before + "".join(f"{name},,,,,\n" for name in EMPTY).encode()
    assert repaired.changes["rule"].tolist() == ["background"] * 4 and repaired.rows == 12
    assert cytoyolo.undo(lab / "clean.csv", lab / "changes.csv") == before
    assert cytoyolo.apply(lab / "labels.csv", lab / "changes.csv") == (lab / "clean.csv").read_bytes()


@pytest.mark.parametrize("mended", [True, False])
def test_a_listed_image_that_the_test_shows_is_left_out(mended: bool, lab: Path) -> None:
    (lab / "test.csv").write_text(f"trustii_id,NAME\n1,{EMPTY[0]}\n")
    made = convert(lab, listed(lab, "\n".join(EMPTY)), test=lab / "test.csv", repair=mended)
    assert (made.images, made.leaked, made.without_cells) == (11, 1, 3)
    repaired = cytoyolo.repair(
        lab / "labels.csv", images=lab / "images", background=lab / "background.csv", test=lab / "test.csv",
        output=lab / "clean.csv",
    )  # fmt: skip
    assert len(repaired.changes) == 3
    assert cytoyolo.undo(lab / "clean.csv", lab / "changes.csv") == (lab / "labels.csv").read_bytes()


def test_the_audit_knows_them(lab: Path) -> None:
    def rules(background: Path | None) -> set[str]:
        found = cytoyolo.audit(lab / "labels.csv", images=lab / "images", background=background)
        assert found.summary["labels"]["rows"] == 8
        assert found.summary["labels"].get("without_cells", 0) == (4 if background else 0)
        return set(found.findings["rule"])

    assert "unlabelled-image" in rules(None)
    assert "unlabelled-image" not in rules(listed(lab, "\n".join(EMPTY)))


def test_a_finding_about_a_listed_image_names_no_line(lab: Path) -> None:
    (lab / "images" / EMPTY[1]).write_bytes(b"")
    found = cytoyolo.audit(lab / "labels.csv", images=lab / "images", background=listed(lab, "\n".join(EMPTY)))
    bad = found.findings[found.findings["rule"] == "unreadable"]
    assert bad["line"].tolist() == [None] and bad["image"].tolist() == [EMPTY[1]]
    with pytest.raises(CytoyoloError, match=r"1 finding \(unreadable: "):
        convert(lab, lab / "background.csv")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_a_list_without_a_header_is_read_in_each_encoding_of_a_table(encoding: str, lab: Path) -> None:
    name = "n\u00e4.png"
    (lab / "images" / "none" / "0.png").rename(lab / "images" / name)
    (lab / "list.txt").write_bytes(f"{name}\r\nnone/1.png\r\n".encode(encoding))
    table = LabelTable.from_csv(lab / "labels.csv", load_spec("cytologia"), images=lab / "images")
    more = with_background(lab / "labels.csv", table, lab / "list.txt")
    assert more.text["image"][len(table.alive) :].tolist() == [name, "none/1.png"]
    (lab / "list.txt").write_bytes(f"{name}\nnone/1\x90.png\n".encode("latin-1"))
    with pytest.raises(CytoyoloError, match=r"is not UTF-8; save the table as UTF-8"):
        with_background(lab / "labels.csv", table, lab / "list.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg\nnone/0.png\n", r"lists 1 of 2 images that have labels in .*labels.csv \('a.jpg'\)"),
        ("A.JPG\n", r"lists 1 of 1 images that have labels"),
        ("gone.png\nnone/0.png\n", r"lists 1 of 2 names that mean no image of the image folder \('gone.png'\)"),
        ("../secret.png\n", r"lists 1 of 1 names that mean no image"),
        ("NAME\n", r"has a header but no rows|lists no image"),
        ("\n\n", r"lists no image|is empty"),
        ("image,group\nnone/0.png,2\n", r"needs the columns NAME"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_sentence(text: str, words: str, lab: Path) -> None:
    with pytest.raises(CytoyoloError, match=words):
        convert(lab, listed(lab, text))
    assert not (lab / "out").exists()


def test_wrong_calls(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UsageError, match="no such file"):
        convert(lab, lab / "gone.csv")
    with pytest.raises(CytoyoloError, match="does not lie in"):
        convert(lab, tmp_path_factory.mktemp("elsewhere"))
    (lab / "images" / "bare").mkdir()
    with pytest.raises(CytoyoloError, match="holds no images"):
        convert(lab, lab / "images" / "bare")
    with pytest.raises(UsageError, match="`background` needs `images`"):
        cytoyolo.audit(lab / "labels.csv", background=listed(lab, "none/0.png\n"))


def test_an_image_that_a_row_calls_empty_is_listed_once(lab: Path) -> None:
    with (lab / "labels.csv").open("a") as file:
        file.write("NONE/0.png,,,,,\n")
    table = LabelTable.from_csv(lab / "labels.csv", load_spec("cytologia"), images=lab / "images")
    more = with_background(lab / "labels.csv", table, listed(lab, "\n".join(EMPTY)))
    assert len(more.alive) - len(table.alive) == 3


def test_the_program_says_it_in_one_sentence(lab: Path, cytoyolo: Callable[..., object]) -> None:
    listed(lab, "a.jpg\n")
    done = cytoyolo(
        "convert", lab / "labels.csv", "--images", lab / "images", "-o", lab / "out", "--background",
        lab / "background.csv",
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
