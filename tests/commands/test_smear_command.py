"""`smear`: synthetic smears that are the same for a seed, and tables that are true of their images."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import smear
from cytoyolo.commands.smear import Smeared
from cytoyolo.errors import UsageError
from cytoyolo.images.info import read_facts
from cytoyolo.spec import load_spec
from cytoyolo.synthetic.smear import render_scene
from cytoyolo.synthetic.smear.kinds import KINDS
from cytoyolo.synthetic.smear.scene import LARGE, SIZES
from tests.outcomes import contents

CODES = load_spec("cytologia").codes


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name, keep_default_na=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Smeared:
    """Two rounds of all kinds, the second one for the test."""
    return smear(output=tmp_path_factory.mktemp("smears") / "out", images=46, test=0.5, seed=3)


@pytest.fixture(scope="module")
def labels(made: Smeared) -> pd.DataFrame:
    """The boxes of all images."""
    return pd.concat([table(made.folder, "train.csv"), table(made.folder, "test_truth.csv")])


def test_the_files_and_their_columns(made: Smeared) -> None:
    names = {path.name for path in made.folder.iterdir()}
    assert names == {"images", "train.csv", "test.csv", "test_truth.csv", "kinds.png", ".cytoyolo.json"}
    assert list(table(made.folder, "train.csv")) == ["NAME", "x1", "y1", "x2", "y2", "class"]
    assert list(table(made.folder, "test.csv")) == ["trustii_id", "NAME"]
    assert list(table(made.folder, "test_truth.csv")) == ["trustii_id", "NAME", "x1", "y1", "x2", "y2", "class"]


def test_the_numbers_told_are_those_of_the_files(made: Smeared, labels: pd.DataFrame) -> None:
    assert (made.train_images, made.test_images, made.cells) == (23, 23, len(labels))
    assert table(made.folder, "train.csv")["NAME"].nunique() == 23
    assert table(made.folder, "test.csv")["NAME"].nunique() == 23


def test_every_image_is_labelled_in_train_or_test_alone(made: Smeared) -> None:
    train, test = (set(table(made.folder, name)["NAME"]) for name in ("train.csv", "test.csv"))
    assert not train & test
    assert train | test == {path.name for path in (made.folder / "images").iterdir()}


def test_the_test_rows_are_those_of_the_truth_and_their_ids_tell_nothing(made: Smeared) -> None:
    test, truth = table(made.folder, "test.csv"), table(made.folder, "test_truth.csv")
    pd.testing.assert_frame_equal(test, truth[["trustii_id", "NAME"]])
    ids = test["trustii_id"].tolist()
    assert sorted(ids) == list(range(1, len(test) + 1)) and ids != sorted(ids)


def test_images_are_sound_and_of_the_challenges_sizes(made: Smeared) -> None:
    for path in (made.folder / "images").iterdir():
        facts = read_facts(path)
        assert (facts.format, facts.problem, facts.repairs) == ("JPEG", "", ())
        assert (facts.width, facts.height) in {*SIZES, LARGE}


def test_boxes_lie_inside_their_images(made: Smeared, labels: pd.DataFrame) -> None:
    for row in labels.itertuples():
        facts = read_facts(made.folder / "images" / row.NAME)
        assert 0 <= row.x1 < row.x2 <= facts.width and 0 <= row.y1 < row.y2 <= facts.height


def test_train_and_test_have_every_class_and_no_other(made: Smeared) -> None:
    for name in ("train.csv", "test_truth.csv"):
        assert set(table(made.folder, name)["class"]) == set(CODES)


def test_the_sheet_of_kinds_is_a_picture(made: Smeared) -> None:
    sheet = cv2.imread(str(made.folder / "kinds.png"))
    assert sheet is not None and sheet.shape[0] > 8 * 150 and sheet.shape[1] > 12 * 150
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 10_000


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_however_many_images(made: Smeared, tmp_path: Path) -> None:
    for name in ("once", "again"):
        smear(output=tmp_path / name, images=4, seed=3)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")
    for path in (tmp_path / "once" / "images").iterdir():
        assert path.read_bytes() == (made.folder / "images" / path.name).read_bytes()


@pytest.mark.slow
def test_another_seed_gives_other_images_of_other_names(made: Smeared, tmp_path: Path) -> None:
    smear(output=tmp_path / "other", images=2, test=0.5, seed=4)
    mine = {path.name: path.read_bytes() for path in (made.folder / "images").iterdir()}
    other = {path.name: path.read_bytes() for path in (tmp_path / "other" / "images").iterdir()}
    assert not mine.keys() & other.keys() and not set(mine.values()) & set(other.values())
    assert contents(tmp_path / "other")["kinds.png"] != contents(made.folder)["kinds.png"]


@pytest.mark.parametrize(("seed", "start"), [(0, 0), (0, 23), (5, 46), (99, 230)])
def test_each_kind_is_the_main_one_once_in_23_images(seed: int, start: int) -> None:
    mains = [render_scene(seed, index).codes[0] for index in range(start, start + 23)]
    assert sorted(mains) == sorted(CODES)
    assert mains != sorted(CODES)


def test_the_painters_kinds_are_the_challenges_classes_in_their_order() -> None:
    assert tuple(KINDS) == CODES


@pytest.mark.parametrize("index", range(6))
def test_a_scene_is_a_picture_with_whole_boxes_around_darker_cells(index: int) -> None:
    scene = render_scene(11, index)
    height, width = scene.image.shape[:2]
    assert scene.image.dtype == np.uint8 and (width, height) in {*SIZES, LARGE}
    assert scene.xyxy.dtype == np.int64 and len(scene.xyxy) == len(scene.codes) >= 1
    x1, y1, x2, y2 = scene.xyxy[0]
    middle = scene.image[(y1 + y2) // 2 - 10 : (y1 + y2) // 2 + 10, (x1 + x2) // 2 - 10 : (x1 + x2) // 2 + 10]
    assert middle[..., 1].mean() < np.percentile(scene.image[..., 1], 75)  # stained cells absorb green light
    again = render_scene(11, index)
    np.testing.assert_array_equal(again.image, scene.image)
    np.testing.assert_array_equal(again.xyxy, scene.xyxy)


@pytest.mark.parametrize(
    "numbers",
    [
        {"images": 0},
        {"images": -5},
        {"images": 1},
        {"images": 10, "test": 0.0},
        {"images": 10, "test": 0.04},
        {"images": 10, "test": 1.0},
        {"images": 10, "test": 1.5},
        {"images": 10, "test": -0.5},
        {"test": float("nan")},
        {"test": float("inf")},
        {"images": 2, "test": 0.5, "seed": -1},
    ],
    ids=str,
)
def test_wrong_numbers_are_refused_and_leave_nothing(numbers: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        smear(output=tmp_path / "out", **numbers)
    assert not any(tmp_path.iterdir())


def test_an_output_is_replaced_only_on_request_and_never_with_a_users_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    for overwrite, words in ((False, "exists; give another folder"), (True, "did not make")):
        with pytest.raises(UsageError, match=words):
            smear(output=tmp_path / "out", images=2, test=0.5, overwrite=overwrite)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_the_program_paints_and_replaces(
    tmp_path: Path, cytoyolo: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    call = ("smear", "-o", tmp_path / "out", "--images", 2, "--test", 0.5)
    first = cytoyolo(*call)
    assert first.returncode == 0, first.stderr
    cells = len(table(tmp_path / "out", "train.csv")) + len(table(tmp_path / "out", "test.csv"))
    assert first.stdout == f"{tmp_path / 'out'}: 1 training and 1 test images, {cells:,} cells\n"
    second = cytoyolo(*call)
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == f"cytoyolo: {tmp_path / 'out'} exists; give another folder or --overwrite.\n"
    assert cytoyolo(*call, "--seed", 1, "--overwrite").returncode == 0
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {
        "smear-1-00000.jpg",
        "smear-1-00001.jpg",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("wait", [0.6, 2.5])
def test_an_interrupt_is_one_sentence_and_leaves_nothing(wait: float, tmp_path: Path) -> None:
    """Sent to the whole group of processes, as Ctrl-C in a terminal is."""
    program = Path(sys.executable).with_name("cytoyolo")
    call = [program, "smear", "-o", tmp_path / "out", "--images", "2000"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "cytoyolo: interrupted.\n"
    assert process.returncode == 130 and list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Smeared:
    """90 training images, half of them with a fault."""
    return smear(output=tmp_path_factory.mktemp("faulty") / "out", images=100, test=0.1, seed=3, faults=0.5)


@pytest.mark.slow
def test_a_faulty_set_has_its_sound_table_and_its_faults_beside_it(faulty: Smeared) -> None:
    names = {path.name for path in faulty.folder.iterdir()} - {".cytoyolo.json"}
    tables = {"train.csv", "train_clean.csv", "test.csv", "test_truth.csv", "faults.csv"}
    assert names == tables | {"images", "stops", "kinds.png"}
    faults, clean = table(faulty.folder, "faults.csv"), table(faulty.folder, "train_clean.csv")
    assert list(faults) == ["table", "line", "NAME", "rule", "detail", "truth"]
    assert faulty.faults == len(faults) > 45 and clean["NAME"].nunique() == faulty.train_images == 90
    assert (faulty.folder / "train.csv").read_bytes() != (faulty.folder / "train_clean.csv").read_bytes()
    assert {"leak", "unreadable", "overhang", "near-duplicate", "schema"} <= set(faults["rule"])


@pytest.mark.slow
def test_what_is_sound_in_a_faulty_set_is_as_without_faults(faulty: Smeared, tmp_path: Path) -> None:
    sound = smear(output=tmp_path / "sound", images=100, test=0.1, seed=3).folder
    same = {"train_clean.csv": "train.csv", "test.csv": "test.csv", "test_truth.csv": "test_truth.csv"}
    for name, other in same.items():
        assert (faulty.folder / name).read_bytes() == (sound / other).read_bytes()
    named = set(table(faulty.folder, "faults.csv")["NAME"])
    for name in [*table(sound, "test.csv")["NAME"], *table(sound, "train.csv")["NAME"]]:
        if name not in named and (faulty.folder / "images" / name).exists():
            assert (faulty.folder / "images" / name).read_bytes() == (sound / "images" / name).read_bytes()
    assert all((faulty.folder / "images" / name).exists() for name in table(sound, "test.csv")["NAME"])


@pytest.mark.parametrize(
    ("faults", "words"), [(0.0, "more than 0 and at most 0.5"), (0.6, "at most 0.5"), (0.5, "at least 84 images")]
)
def test_a_share_of_faults_that_cannot_be_is_refused_before_anything_is_painted(
    faults: float, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        smear(output=tmp_path / "out", images=80, faults=faults)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_program_puts_faults_in(tmp_path: Path, cytoyolo: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    call = ("smear", "-o", tmp_path / "out", "--images", 100, "--test", 0.1, "--faults", 0.5)
    done = cytoyolo(*call)
    assert done.returncode == 0, done.stderr
    cells = len(table(tmp_path / "out", "train_clean.csv")) + len(table(tmp_path / "out", "test.csv"))
    listed = len(table(tmp_path / "out", "faults.csv"))
    assert done.stdout == (
        f"{tmp_path / 'out'}: 90 training and 10 test images, {cells:,} cells, {listed:,} faults listed\n"
    )
    before = contents(tmp_path / "out")
    again = cytoyolo(*call, "--overwrite")
    assert again.returncode == 0, again.stderr
    assert contents(tmp_path / "out") == before


def test_processes_that_paint_end_silently_with_one_that_is_killed(tmp_path):
    call = [sys.executable, "-m", "cytoyolo", "smear", "-o", str(tmp_path / "smears"), "--images", "5000"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.rglob("*.jpg")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    said = process.communicate(timeout=30)[1]  # at the end of the last of them, since all hold this pipe
    assert "Traceback" not in said and "Error" not in said, said
