"""`predict`: submission rows by the rule, everyday detections, and everything that can be wrong."""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import cv2
import pandas as pd
import pytest

from cytoyolo import predict, submit
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.locks import locked

COLUMNS = ["trustii_id", "NAME", "x1", "y1", "x2", "y2", "class"]


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture
def images(blobs, tmp_path):
    """A private copy of the images, for tests that damage some."""
    return shutil.copytree(blobs / "images", tmp_path / "images")


def test_one_row_a_test_row_in_its_order(weights, blobs, tmp_path):
    output = tmp_path / "submission.csv"
    made = submit(weights, blobs / "test.csv", images=blobs / "images", output=output)
    rows, test = pd.read_csv(output), pd.read_csv(blobs / "test.csv")
    assert list(rows.columns) == COLUMNS
    pd.testing.assert_frame_equal(rows[["trustii_id", "NAME"]], test)
    assert made.rows == 6 and not made.failures
    assert (rows[["x1", "y1"]] >= 0).all(axis=None)
    assert (rows["x2"] <= 80).all() and (rows["y2"] <= 72).all()
    assert set(rows["class"]) <= {"dark", "pale"}


def test_the_same_call_gives_the_same_bytes(weights, blobs, tmp_path):
    for name in ("a.csv", "b.csv"):
        submit(weights, blobs / "test.csv", images=blobs / "images", output=tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_data_frame_gives_the_bytes_of_its_file(weights, blobs, tmp_path):
    test = pd.read_csv(blobs / "test.csv")
    for name, table in (("a.csv", blobs / "test.csv"), ("b.csv", test.set_index("NAME", drop=False))):
        submit(weights, table, images=blobs / "images", output=tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with pytest.raises(CytoyoloError, match=r"the test table \(row 0 is line 2\): 1 row can't be used \(line 3: "):
        submit(
            weights, test.assign(trustii_id=[1, 1, *range(2, 6)]), images=blobs / "images", output=tmp_path / "c.csv"
        )


def test_bad_images_are_reported_and_filled_by_the_rule(weights, blobs, images, tmp_path, cytoyolo):
    (images / "blob03.jpg").unlink()
    (images / "blob01.jpg").write_text("no picture")
    output = tmp_path / "submission.csv"
    done = cytoyolo("submit", weights, blobs / "test.csv", "--images", images, "-o", output)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    rows = pd.read_csv(output)
    filled = rows[rows["NAME"].isin(["blob03.jpg", "blob01.jpg"])]
    assert len(filled) == 4
    assert (filled[["x1", "y1", "x2", "y2"]] == 0).all(axis=None) and set(filled["class"]) == {"dark"}
    failures = pd.read_csv(tmp_path / "submission.failures.csv")
    assert set(failures["NAME"]) == {"blob03.jpg", "blob01.jpg"}


def test_rows_beyond_the_detections_get_the_fallback(weights, blobs, tmp_path):
    output = tmp_path / "submission.csv"
    made = submit(weights, blobs / "test.csv", images=blobs / "images", output=output, conf=1.0, fallback="pale")
    rows = pd.read_csv(output)
    assert made.fallback_rows == len(rows) == 6
    assert (rows[["x1", "y1", "x2", "y2"]] == 0).all(axis=None) and set(rows["class"]) == {"pale"}


def test_more_rows_than_the_engine_keeps_by_default(weights, blobs, tmp_path):
    test = tmp_path / "test.csv"
    pd.DataFrame({"trustii_id": range(400), "NAME": "blob03.jpg"}).to_csv(test, index=False)
    made = submit(weights, test, images=blobs / "images", output=tmp_path / "submission.csv")
    assert len(pd.read_csv(tmp_path / "submission.csv")) == made.rows == 400


def test_everyday_folder(weights, blobs, images, tmp_path):
    (images / "notes.txt").write_text("not an image")
    (images / "broken.jpg").write_text("not an image either")
    output = tmp_path / "out"
    made = predict(weights, images, output=output, conf=1e-4)
    rows = pd.read_csv(output / "detections.csv", keep_default_na=False)
    assert list(rows.columns) == [*COLUMNS[1:], "confidence", "second_class", "margin"]
    assert rows["confidence"].between(1e-4, 1).all() and (rows["margin"] >= 0).all()
    assert (rows["second_class"] != rows["class"]).all()
    assert list(made.failures) == ["broken.jpg"]
    assert len(list((output / "annotated").iterdir())) == 24
    picture = cv2.imread(str(output / "annotated" / "blob00.jpg"))
    assert picture.shape == cv2.imread(str(images / "blob00.jpg")).shape
    counts = pd.read_csv(output / "differential.csv")
    assert counts["count"].sum() == len(rows) and counts["share"].sum() == pytest.approx(1, abs=1e-5)
    assert (output / "differential.png").stat().st_size > 0


def test_sub_folders_and_groups_are_slides(weights, images, tmp_path, cytoyolo):
    for number in range(24):
        folder = images / ("s 1" if number < 5 else "<script>" if number < 9 else "")
        folder.mkdir(exist_ok=True)
        (images / f"blob{number:02}.jpg").rename(folder / f"blob{number:02}.jpg")
    call = ("predict", weights, images, "--conf", "1e-4", "--no-pictures", "--cells", "10")
    done = cytoyolo(*call, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    slides = pd.read_csv(tmp_path / "out" / "slides.csv").set_index("slide")
    assert slides["images"].to_dict() == {"(top folder)": 15, "<script>": 4, "s 1": 5}
    names = pd.read_csv(tmp_path / "out" / "detections.csv")["NAME"]
    folders = names.str.rpartition("/")[0].replace("", "(top folder)")
    assert slides["cells"].to_dict() == folders.value_counts().sort_index().to_dict()
    classes = pd.read_csv(tmp_path / "out" / "slide_classes.csv")
    assert classes.groupby("slide")["count"].sum().to_dict() == slides["cells"].to_dict()
    record = json.loads((tmp_path / "out" / "differential.json").read_text())
    assert (record["facts"]["date"], record["facts"]["model"]) == ("2025-11-29", "best.pt")
    (tmp_path / "slides.csv").write_text("NAME,group\nblob00.jpg,A\nblob09.jpg,A\nblob99.jpg,B\n")
    done = cytoyolo(*call, "-o", tmp_path / "grouped", "--groups", tmp_path / "slides.csv")
    assert "slides.csv: 1 of 3 names match none of the searched images ('blob99.jpg')." in done.stderr
    assert "counted as the slide (no group): 22" in done.stderr
    slides = pd.read_csv(tmp_path / "grouped" / "slides.csv").set_index("slide")
    assert slides["images"].to_dict() == {"(no group)": 22, "A": 2}


def test_few_cells_are_not_a_bare_share(weights, images, tmp_path, cytoyolo):
    call = ("predict", weights, images / "blob00.jpg", "--conf", "1e-4", "--max-det", "3")
    done = cytoyolo(*call, "-o", tmp_path / "out")
    assert "Too few cells: 3 leukocytes of 200 wanted." in done.stdout
    assert "(43.9 to 100.0%)" in done.stdout or "33.3% (6.1 to 79.2%)" in done.stdout
    for cells, code in (("0", 2), ("-1", 2)):
        refused = cytoyolo("predict", weights, images, "-o", tmp_path / "no", "--cells", cells)
        assert refused.returncode == code and f"--cells is {cells}; give 1 or more." in refused.stderr


def test_everyday_image_without_pictures(weights, blobs, tmp_path):
    predict(weights, blobs / "images" / "blob00.jpg", output=tmp_path / "out", pictures=False)
    assert not (tmp_path / "out" / "annotated").exists()
    assert (tmp_path / "out" / "detections.csv").is_file()


def test_no_detection_at_all_is_an_empty_table(weights, blobs, tmp_path):
    made = predict(weights, blobs / "images", output=tmp_path / "out", conf=1.0)
    assert made.rows == 0
    assert len(pd.read_csv(tmp_path / "out" / "detections.csv")) == 0


def test_weights_trained_elsewhere_need_a_fallback(blobs, tmp_path, monkeypatch):
    import torch

    from cytoyolo.detector.engine import engine

    engine()
    from ultralytics.nn.tasks import DetectionModel

    network = DetectionModel("yolo11n.yaml", nc=2, verbose=False)
    network.names = {0: "cat", 1: "dog"}
    path = tmp_path / "stranger.pt"
    torch.save({"model": network, "train_args": {"imgsz": 64}}, path)
    with pytest.raises(UsageError, match="fallback="):
        submit(path, blobs / "test.csv", images=blobs / "images", output=tmp_path / "s.csv")
    made = submit(path, blobs / "test.csv", images=blobs / "images", output=tmp_path / "s.csv", fallback="dog")
    assert made.rows == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("trustii_id,NAME\n", "no rows"),
        ("id,NAME\n1,blob00.jpg\n", "columns"),
        ("NAME,x1,y1,x2,y2,class\nblob00.jpg,1,2,9,9,dark\n", "is a label table, not a test table; to predict the"),
        ("trustii_id,NAME\n1,../other.jpg\n", "no image of the folder is meant by ../other.jpg"),
        ("trustii_id,NAME\n1,/etc/passwd\n", "no image of the folder is meant by /etc/passwd"),
        ("trustii_id,NAME\n1,\n", "image name is ''"),
        ("trustii_id,NAME\n1,blob00.jpg\n1,blob01.jpg\n", "is there twice"),
        ("trustii_id,NAME\n1,elsewhere.jpg\n", "test.csv can be used (elsewhere.jpg "),
    ],
)
def test_an_unusable_test_table_is_one_sentence(weights, blobs, tmp_path, text, words):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(CytoyoloError) as error:
        submit(weights, path, images=blobs / "images", output=tmp_path / "submission.csv")
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "submission.csv").exists()


def test_a_test_table_may_name_images_in_folders_and_as_people_write_them(weights, blobs, tmp_path):
    images = tmp_path / "images"
    for name, number in (("s1/a.jpg", 0), ("s2/a.jpg", 1), ("b.jpg", 2)):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(blobs / "images" / f"blob{number:02}.jpg", images / name)
    names = ["s1/a.jpg", "s2\\a.jpg", "C:\\img\\b.JPG", "s1/a.jpg"]
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(names))
    (tmp_path / "test.csv").write_text(f"trustii_id,NAME\n{rows}")
    (tmp_path / "plain.csv").write_text("trustii_id,NAME\n0,blob00.jpg\n1,blob01.jpg\n2,blob02.jpg\n3,blob00.jpg\n")
    submit(weights, tmp_path / "test.csv", images=images, output=tmp_path / "s.csv", probabilities=True)
    submit(weights, tmp_path / "plain.csv", images=blobs / "images", output=tmp_path / "p.csv")
    made, plain = pd.read_csv(tmp_path / "s.csv"), pd.read_csv(tmp_path / "p.csv")
    assert made["NAME"].tolist() == names
    pd.testing.assert_frame_equal(made.drop(columns="NAME"), plain.drop(columns="NAME"))
    assert set(pd.read_csv(tmp_path / "s.detections.csv")["NAME"]) <= set(names)


def test_wrong_calls(weights, blobs, tmp_path):
    test, images = blobs / "test.csv", blobs / "images"
    output = tmp_path / "submission.csv"
    wrong = {
        "no such image folder": (submit, {"test": test, "images": tmp_path / "none"}),
        "conf=2.0; give a number from 0 to 1": (submit, {"test": test, "images": images, "conf": 2.0}),
        "iou=-1.0; give a number from 0 to 1": (submit, {"test": test, "images": images, "iou": -1.0}),
        "fallback='PNN'; the weights know dark; pale": (submit, {"test": test, "images": images, "fallback": "PNN"}),
        "device": (submit, {"test": test, "images": images, "device": "99"}),
        "there is no setting 'confidence'; give some of conf, iou,": (predict, {"source": images, "confidence": 0.5}),
        "is a folder, and submit takes a test table; `cytoyolo.predict": (submit, {"test": images, "images": images}),
        "is an image, and submit takes": (submit, {"test": images / "blob00.jpg", "images": images}),
        "test.csv is a table, and predict takes images and folders; `cytoyolo.submit": (predict, {"source": test}),
        "no such file or folder": (predict, {"source": tmp_path / "none"}),
    }
    for words, (command, call) in wrong.items():
        with pytest.raises(UsageError, match=re.escape(words)):
            command(weights, output=output, **call)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CytoyoloError, match="no images"):
        predict(weights, tmp_path / "empty", output=output)
    assert not output.exists()


def test_an_output_is_replaced_only_on_request_and_only_if_it_is_a_submission(weights, blobs, tmp_path):
    output = tmp_path / "submission.csv"
    call = {"test": blobs / "test.csv", "images": blobs / "images", "output": output}
    submit(weights, **call)
    with pytest.raises(UsageError, match="overwrite=True"):
        submit(weights, **call)
    submit(weights, **call, overwrite=True)
    output.write_text("my notes\n")
    with pytest.raises(UsageError, match="header differs"):
        submit(weights, **call, overwrite=True)
    assert output.read_text() == "my notes\n"


def test_an_interruption_before_the_first_image_leaves_nothing(weights, blobs, tmp_path, monkeypatch):
    from cytoyolo.detector.predict import Detector

    def interrupted(self, images):
        raise KeyboardInterrupt

    monkeypatch.setattr(Detector, "detect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(weights, blobs / "images", output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class _Killed(BaseException):
    """Stands for a process that ends: nothing of the program may handle it."""


@pytest.fixture
def killed_after(monkeypatch):
    """Let the detector end the process after so many images."""
    from cytoyolo.detector.predict import Detector

    whole = Detector.detect

    def set_limit(limit):
        left = [limit]

        def detect(self, images):
            if left[0] <= 0:
                raise _Killed
            left[0] -= len(images)
            return whole(self, images)

        monkeypatch.setattr(Detector, "detect", detect if limit is not None else whole)

    return set_limit


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(weights, blobs, tmp_path, killed_after, backend):
    call = {"images": blobs / "images", "conf": 1e-3, "probabilities": True, "backend": backend, "batch": 2}
    test = tmp_path / "test.csv"
    names = [path.name for path in sorted((blobs / "images").iterdir())]
    pd.DataFrame({"trustii_id": range(len(names)), "NAME": names}).to_csv(test, index=False)
    submit(weights, test, output=tmp_path / "whole.csv", **call)
    for limit in (7, 0, 9):
        killed_after(limit)
        with pytest.raises(_Killed):
            submit(weights, test, output=tmp_path / "again.csv", **call)
        assert not (tmp_path / "again.csv").exists()
    journal = tmp_path / "again.csv.partial" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])  # the last line was not written to its end
    killed_after(len(names) - 4)  # what is done is not done again
    submit(weights, test, output=tmp_path / "again.csv", **call)
    for suffix in (".csv", ".detections.csv"):
        assert (tmp_path / f"again{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not journal.parent.exists()


def test_a_killed_folder_goes_on_with_its_pictures(weights, blobs, images, tmp_path, killed_after):
    (images / "blob05.jpg").write_text("no picture")
    predict(weights, images, output=tmp_path / "whole", conf=1e-3)
    killed_after(9)
    with pytest.raises(_Killed):
        predict(weights, images, output=tmp_path / "again", conf=1e-3)
    killed_after(None)
    predict(weights, images, output=tmp_path / "again", conf=1e-3)
    files = [path for path in sorted((tmp_path / "whole").rglob("*")) if path.is_file()]
    assert len(files) == 23 + 9  # the pictures, and nine files beside them
    assert tmp_path / "whole" / "report.html" in files
    for path in files:
        assert (tmp_path / "again" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_unfinished_work_of_another_run_is_refused(weights, blobs, images, tmp_path, killed_after):
    def interrupt(**options):
        killed_after(9)
        with pytest.raises(_Killed):
            predict(weights, images, output=tmp_path / "out", **options)
        killed_after(None)

    interrupt()
    with pytest.raises(UsageError, match=r"of another run \(its conf differ\); give overwrite=True"):
        predict(weights, images, output=tmp_path / "out", conf=0.5)
    with (images / "blob02.jpg").open("ab") as file:
        file.write(b" ")
    with pytest.raises(UsageError, match=r"blob02\.jpg, which has changed since; give overwrite=True"):
        predict(weights, images, output=tmp_path / "out")
    shutil.copy(images / "blob02.jpg", images / "more.jpg")
    with pytest.raises(UsageError, match="its images differ"):
        predict(weights, images, output=tmp_path / "out")
    assert predict(weights, images, output=tmp_path / "out", overwrite=True).images == 25
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="was not made by this tool"):
        predict(weights, images, output=tmp_path / "other")
    assert (tmp_path / "other.partial" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_unfinished_work_gives_no_leave_to_replace_what_came_meanwhile(weights, blobs, images, tmp_path, killed_after):
    other = predict(weights, images, output=tmp_path / "other", conf=0.5, pictures=False).output
    killed_after(9)
    with pytest.raises(_Killed):
        predict(weights, images, output=tmp_path / "out")
    killed_after(1)
    with pytest.raises(_Killed):
        submit(weights, blobs / "test.csv", images=images, output=tmp_path / "out.csv", batch=1)
    killed_after(None)
    shutil.copytree(other, tmp_path / "out")
    pd.DataFrame([[0, "mine.jpg", 1, 2, 3, 4, "dark"]], columns=COLUMNS).to_csv(tmp_path / "out.csv", index=False)
    before = (tmp_path / "out" / "detections.csv").read_bytes()
    with pytest.raises(UsageError, match="exists; give another folder or overwrite=True"):
        predict(weights, images, output=tmp_path / "out")
    with pytest.raises(UsageError, match="exists; give another name or overwrite=True"):
        submit(weights, blobs / "test.csv", images=images, output=tmp_path / "out.csv", batch=1)
    assert (tmp_path / "out" / "detections.csv").read_bytes() == before
    assert pd.read_csv(tmp_path / "out.csv")["NAME"].tolist() == ["mine.jpg"]


@pytest.mark.parametrize("name", ["out", "out.csv"])
def test_a_run_killed_when_its_output_had_its_place_goes_on(weights, blobs, images, tmp_path, monkeypatch, name):
    command, source = (submit, blobs / "test.csv") if name == "out.csv" else (predict, images)
    call = {"images": images, "probabilities": True} if name == "out.csv" else {}
    whole = command(weights, source, output=tmp_path / f"whole-{name}", **call).output

    def kill(folder):
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr("cytoyolo.detector.resumable.remove", kill)
        with pytest.raises(_Killed):
            command(weights, source, output=tmp_path / name, **call)
    made = command(weights, source, output=tmp_path / name, **call).output
    if name == "out.csv":
        assert made.read_bytes() == whole.read_bytes()
    else:
        assert (made / "detections.csv").read_bytes() == (whole / "detections.csv").read_bytes()
        assert len(list((made / "annotated").iterdir())) == 24
    assert not (tmp_path / f"{name}.partial").exists()


def test_two_runs_for_one_output_do_not_meet(weights, blobs, tmp_path):
    with locked(tmp_path / "out.partial"):
        thread = ThreadPoolExecutor(1).submit(predict, weights, blobs / "images", output=tmp_path / "out")
        with pytest.raises(CytoyoloError, match=r"another process is at work in .*out\.partial; wait for it"):
            thread.result()
    assert list(tmp_path.iterdir()) == []


def test_probabilities_of_every_detection(weights, blobs, tmp_path):
    predict(weights, blobs / "images", output=tmp_path / "out", conf=1e-3, probabilities=True, pictures=False)
    rows = pd.read_csv(tmp_path / "out" / "detections.csv")
    assert list(rows.columns)[-2:] == ["p_dark", "p_pale"] and len(rows) > 24
    assert (rows[["p_dark", "p_pale"]].max(axis=1) - rows["confidence"]).abs().max() <= 1e-6
    made = submit(
        weights, blobs / "test.csv", images=blobs / "images", output=tmp_path / "s.csv", probabilities=True, conf=1e-3
    )
    rows, listed = pd.read_csv(tmp_path / "s.csv"), pd.read_csv(tmp_path / "s.detections.csv")
    columns, rows = COLUMNS[1:], rows[rows["x2"] > 0]
    assert made.fallback_rows < 2 and len(listed) >= len(rows)
    assert set(map(tuple, rows[columns].to_numpy())) <= set(map(tuple, listed[columns].to_numpy()))


def test_several_models_and_views_are_fused(weights, blobs, tmp_path, cytoyolo):
    done = cytoyolo(
        "submit", weights, weights, blobs / "test.csv", "--images", blobs / "images", "-o", tmp_path / "s.csv",
        "--model-weights", "2,1", "--tta", "hflip,vflip",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "s.csv")) == 6
    for wrong in (["--model-weights", "1,x"], ["--model-weights", "1"], ["--tta", "rot"]):
        done = cytoyolo(
            "submit", weights, weights, blobs / "test.csv", "--images", blobs / "images", "-o", tmp_path / "t.csv",
            *wrong,
        )  # fmt: skip
        assert done.returncode == 2 and "Traceback" not in done.stderr
    assert cytoyolo("predict", weights, "-o", tmp_path / "t.csv").returncode == 2


def test_views_give_the_same_rows_with_and_without_probabilities(weights, blobs, tmp_path):
    for name, listed in (("a.csv", False), ("b.csv", True)):
        submit(
            weights, blobs / "test.csv", images=blobs / "images", output=tmp_path / name, tta=["hflip"],
            probabilities=listed,
        )  # fmt: skip
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.slow
def test_starting_anew_keeps_nothing_of_the_work_thrown_away(weights, images, tmp_path, killed_after):
    killed_after(9)
    with pytest.raises(_Killed):
        predict(weights, images, output=tmp_path / "out")
    killed_after(None)
    predict(weights, images, output=tmp_path / "out", pictures=False, overwrite=True)
    assert not (tmp_path / "out" / "annotated").exists()


def test_an_empty_folder_of_unfinished_work_is_taken_and_notes_are_not(weights, images, tmp_path):
    folder = tmp_path / "out.partial"
    folder.mkdir()
    predict(weights, images, output=tmp_path / "out", pictures=False)
    folder.mkdir()
    (folder / "journal.jsonl").write_text("my notes\n")
    with pytest.raises(UsageError, match="was not made by this tool"):
        predict(weights, images, output=tmp_path / "out", overwrite=True)
    assert (folder / "journal.jsonl").read_text() == "my notes\n"
    (folder / "journal.jsonl").write_text("my notes")
    with pytest.raises(UsageError, match="was not made by this tool"):
        predict(weights, images, output=tmp_path / "out", overwrite=True)


def test_names_that_cannot_be(weights, images, tmp_path):
    with pytest.raises(UsageError, match=r"can.t be an output"):
        predict(weights, images, output=".")
    (images / "a.png.jpg").write_bytes((images / "blob00.jpg").read_bytes())
    for name in ("a.png", "a.jpg"):
        (images / name).write_bytes((images / "blob01.jpg").read_bytes())
    made = predict(weights, images, output=tmp_path / "out")
    assert len(list((tmp_path / "out" / "annotated").iterdir())) == made.images == 27
    (images / "blob02.jpg").rename(images / os.fsdecode(b"caf\xe9.jpg"))
    for source in (images, images / os.fsdecode(b"caf\xe9.jpg")):
        with pytest.raises(CytoyoloError, match=r"caf\\xe9\.jpg is not UTF-8"):
            predict(weights, source, output=tmp_path / "other")
    (images / os.fsdecode(b"caf\xe9.jpg")).rename(images / "two\nlines.jpg")
    with pytest.raises(CytoyoloError, match=r"two\\nlines\.jpg is not UTF-8 text of one line"):
        predict(weights, images, output=tmp_path / "other")
    with pytest.raises(UsageError, match="no weights"):
        predict([], images, output=tmp_path / "other")


def test_names_too_long_for_a_picture_are_cut(weights, images, tmp_path):
    for extension in ("jpg", "png"):
        (images / f"{'n' * 251}.{extension}").write_bytes((images / "blob01.jpg").read_bytes())
    made = predict(weights, images, output=tmp_path / "out")
    assert len(list((tmp_path / "out" / "annotated").iterdir())) == made.images == 26


def test_a_file_that_can_no_longer_be_read_has_no_picture(weights, images, tmp_path, killed_after, monkeypatch):
    from cytoyolo.detector.journal import Journal

    def kill(self, one, kept):
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", kill)
        with pytest.raises(_Killed):
            predict(weights, images, output=tmp_path / "out")
    (tmp_path / "out.partial" / "result" / "annotated").mkdir(parents=True)
    shutil.copy(images / "blob00.jpg", tmp_path / "out.partial" / "result" / "annotated" / "blob00.jpg")
    (images / "blob00.jpg").write_text("no picture")
    predict(weights, images, output=tmp_path / "out")
    assert not (tmp_path / "out" / "annotated" / "blob00.jpg").exists()


@pytest.mark.slow
def test_an_image_that_changes_after_it_was_read_is_refused_later(weights, images, tmp_path, killed_after, monkeypatch):
    from cytoyolo.commands import predict_folder as everyday

    drawn = everyday.PredictionFolder.draw

    def draw(self, name, *arguments):
        drawn(self, name, *arguments)
        if name == "blob03.jpg":
            (images / name).write_bytes((images / "blob04.jpg").read_bytes())
        if name == "blob05.jpg":
            raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(everyday.PredictionFolder, "draw", draw)
        with pytest.raises(_Killed):
            predict(weights, images, output=tmp_path / "out")
    with pytest.raises(UsageError, match=r"blob03\.jpg, which has changed since"):
        predict(weights, images, output=tmp_path / "out")


def test_a_listing_of_another_run_is_in_the_way(weights, blobs, tmp_path):
    call = {"test": blobs / "test.csv", "images": blobs / "images", "output": tmp_path / "s.csv"}
    submit(weights, **call, probabilities=True)
    before = (tmp_path / "s.detections.csv").read_bytes()
    with pytest.raises(UsageError, match="give probabilities=True, or move it"):
        submit(weights, **call, overwrite=True)
    assert (tmp_path / "s.detections.csv").read_bytes() == before
    submit(weights, **call, overwrite=True, probabilities=True)
    (tmp_path / "s.detections.csv").unlink()
    submit(weights, **call, overwrite=True)


def test_a_table_given_to_predict_is_sent_to_submit(weights, blobs, tmp_path, cytoyolo):
    table, images = blobs / "test.csv", blobs / "images"
    for call in ([table, "-o", tmp_path / "s.csv"], [table, images, "-o", tmp_path / "out"]):
        done = cytoyolo("predict", weights, *call)
        assert done.returncode == 2 and f"`cytoyolo submit WEIGHTS {table} --images DIR" in done.stderr
    done = cytoyolo("predict", weights, table, "--images", images, "-o", tmp_path / "s.csv")
    assert done.returncode == 2 and "is now `cytoyolo submit WEIGHTS TEST.csv --images DIR" in done.stderr
    done = cytoyolo("submit", weights, images, "--images", images, "-o", tmp_path / "s.csv")
    assert done.returncode == 2 and f"`cytoyolo predict WEIGHTS {images} -o DIR`" in done.stderr
    done = cytoyolo("submit", weights, table, table, "--images", images, "-o", tmp_path / "s.csv")
    assert done.returncode == 2 and "one test table is filled; give first the weights" in done.stderr
    assert list(tmp_path.iterdir()) == []
