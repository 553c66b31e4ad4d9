"""`fuse`: stored detections become what `predict` makes of the same models; and wrong tables."""

import pandas as pd
import pytest

from cytoyolo import fuse, predict, submit
from cytoyolo.errors import CytoyoloError, UsageError


@pytest.fixture(scope="module")
def stored(small_run, blobs, tmp_path_factory):
    """Detections of one model at two sizes, with all probabilities, and the fusion that predict makes of both."""
    folder = tmp_path_factory.mktemp("stored")
    best = small_run / "weights" / "best.pt"
    for name, side in (("a", 64), ("b", 96)):
        predict(best, blobs / "images", output=folder / name, conf=1e-3, imgsz=side, probabilities=True, pictures=False)
    return [folder / name / "detections.csv" for name in ("a", "b")]


def test_one_table_stays_what_it_is(stored, tmp_path):
    fuse([stored[0]], output=tmp_path / "f.csv", iou=1.0)
    one, made = (
        pd.read_csv(path).sort_values(["NAME", "x1", "y1", "confidence"]) for path in (stored[0], tmp_path / "f.csv")
    )
    assert len(one) == len(made) and list(one.columns) == list(made.columns)
    assert (one[["x1", "y1", "x2", "y2"]].to_numpy() == made[["x1", "y1", "x2", "y2"]].to_numpy()).mean() > 0.99


def test_two_tables_become_one_or_a_submission(stored, blobs, tmp_path, cytoyolo):
    done = cytoyolo("fuse", *stored, "-o", tmp_path / "f.csv", "--model-weights", "2,1")
    assert done.returncode == 0, done.stderr
    made = pd.read_csv(tmp_path / "f.csv")
    assert list(made.columns)[-2:] == ["p_dark", "p_pale"]
    assert made["NAME"].nunique() == 24 and made["confidence"].between(0, 1).all()
    result = fuse(stored, output=tmp_path / "s.csv", test=blobs / "test.csv", dataset=blobs / "spec.yaml")
    assert result.rows == 6 and len(pd.read_csv(tmp_path / "s.csv")) == 6


def test_tables_without_probabilities_count_for_their_own_class(stored, tmp_path):
    for number, path in enumerate(stored):
        table = pd.read_csv(path)
        table.drop(columns=["p_dark", "p_pale"]).to_csv(tmp_path / f"{number}.csv", index=False)
    made = fuse([tmp_path / "0.csv", stored[1]], output=tmp_path / "f.csv")
    assert made.rows >= 24
    made = fuse([tmp_path / "0.csv", tmp_path / "1.csv"], output=tmp_path / "g.csv")
    assert made.rows >= 24


def test_tables_whose_classes_are_in_another_order_are_fused_by_name(stored, tmp_path):
    table = pd.read_csv(stored[1], dtype=str)
    other = [*table.columns[:-2], "p_pale", "p_dark"]
    table[other].to_csv(tmp_path / "order.csv", index=False)
    wanted, made = tmp_path / "wanted.csv", tmp_path / "made.csv"
    fuse(stored, output=wanted)
    fuse([stored[0], tmp_path / "order.csv"], output=made)
    assert made.read_bytes() == wanted.read_bytes()


def test_tables_without_rows_are_models_that_found_nothing(stored, blobs, tmp_path):
    empty, plain = tmp_path / "empty.csv", tmp_path / "plain.csv"
    pd.read_csv(stored[0]).head(0).to_csv(empty, index=False)
    pd.read_csv(stored[0]).head(0).drop(columns=["p_dark", "p_pale"]).to_csv(plain, index=False)
    made = fuse([stored[0], empty], output=tmp_path / "f.csv", iou=1.0)
    alone, halved = pd.read_csv(stored[0]), pd.read_csv(tmp_path / "f.csv")
    assert made.rows == len(alone)
    assert sorted(halved["confidence"]) == pytest.approx(sorted(alone["confidence"] / 2), abs=2e-6)
    spec = blobs / "spec.yaml"
    for tables in ([empty], [empty, plain], [plain, plain]):
        made = fuse(tables, output=tmp_path / "g.csv", dataset=spec, overwrite=True)
        assert made.rows == made.images == 0 and len(pd.read_csv(tmp_path / "g.csv")) == 0
        made = fuse(tables, output=tmp_path / "s.csv", test=blobs / "test.csv", dataset=spec, overwrite=True)
        assert made.rows == made.fallback_rows == 6


def test_a_classifier_names_the_boxes_by_its_table(stored, tmp_path, cytoyolo):
    votes = tmp_path / "votes.csv"
    table = pd.read_csv(stored[0])
    table.assign(p_dark=0.2, p_pale=0.8).to_csv(votes, index=False)
    fuse([stored[0]], output=tmp_path / "plain.csv")
    done = cytoyolo("fuse", stored[0], "--classifier", votes, "--model-weights", "0,1", "-o", tmp_path / "f.csv")
    assert done.returncode == 0, done.stderr
    plain, made = pd.read_csv(tmp_path / "plain.csv"), pd.read_csv(tmp_path / "f.csv")
    same = ["NAME", "x1", "y1", "x2", "y2", "confidence"]
    pd.testing.assert_frame_equal(made[same], plain[same])
    assert set(made["class"]) == {"pale"} and (made["p_pale"] == made["confidence"]).all()
    assert (made["p_dark"] - made["confidence"] / 4).abs().max() <= 1e-6
    some = table["NAME"] < "blob12"
    table[some].assign(p_dark=0.2, p_pale=0.8).to_csv(votes, index=False)
    fuse([stored[0]], classifiers=[votes], model_weights=[0, 1], output=tmp_path / "g.csv")
    named = pd.read_csv(tmp_path / "g.csv")
    there = named["NAME"] < "blob12"
    pd.testing.assert_frame_equal(named[there], made[there])
    pd.testing.assert_frame_equal(named[~there], plain[~there])
    assert there.any() and not there.all()


def test_wrong_tables_of_classifiers(stored, tmp_path):
    table, votes = pd.read_csv(stored[0]), tmp_path / "votes.csv"
    for wrong, words in (
        (table.assign(p_dark=0.5, p_pale=0.8), r"the probabilities sum to 1.3, not to 1"),
        (table.assign(p_dark=0.0, p_pale=0.0), r"the probabilities sum to 0, not to 1"),
        (table.drop(columns=["p_dark", "p_pale"]), "has no probabilities of all classes"),
        (table.rename(columns={"p_pale": "p_other"}).assign(**{"class": "dark"}), "have different classes"),
    ):
        wrong.to_csv(votes, index=False)
        with pytest.raises(CytoyoloError, match=words) as error:
            fuse([stored[0]], classifiers=[votes], output=tmp_path / "f.csv")
        assert "\n" not in str(error.value)
    table.assign(p_dark=0.4, p_pale=0.6).to_csv(votes, index=False)
    for weights, words in (
        ([1], "has 1 number for 2 models"),
        ([0, 0], "above 0"),
        ([1, -1], "above 0.*or 0 for a model without a vote"),
    ):
        with pytest.raises(UsageError, match=words):
            fuse([stored[0]], classifiers=[votes], model_weights=weights, output=tmp_path / "f.csv")
    with pytest.raises(UsageError, match="above 0"):
        fuse(stored, classifiers=[votes], model_weights=[0, 1, 1], output=tmp_path / "f.csv")
    with pytest.raises(UsageError, match="is one of the tables to fuse"):
        fuse([stored[0]], classifiers=[votes], output=votes)
    assert not (tmp_path / "f.csv").exists()


def test_probabilities_that_are_not_of_the_box_are_one_sentence(stored, tmp_path):
    table, wrong = pd.read_csv(stored[0]), tmp_path / "wrong.csv"
    other = {"dark": "pale", "pale": "dark"}
    for changed, words in (
        (
            table.assign(p_dark=0.0, p_pale=0.0),
            r"line 2: the largest probability is 0, and the confidence is 0\.\d+; .*",
        ),
        (table.assign(p_dark=1.0), r"the largest probability is 1, and the confidence is 0\.\d+"),
        (
            table.assign(**{"class": table["class"].map(other)}),
            r"the class is (dark|pale), and another class",
        ),
        (
            table.assign(uncertain="no", p_dark=0.5, p_pale=0.5).iloc[:2].assign(p_pale=[0.5, 0.8]),
            r"1 row can't be used \(line 3: the probabilities sum to 1\.3, not to 1\)",
        ),
    ):
        changed.to_csv(wrong, index=False)
        with pytest.raises(CytoyoloError, match=words) as error:
            fuse([stored[1], wrong], output=tmp_path / "f.csv")
        assert "\n" not in str(error.value) and not (tmp_path / "f.csv").exists()


def test_wrong_tables_are_one_sentence(stored, blobs, tmp_path):
    table = pd.read_csv(stored[0])
    cases = {
        "a column less": (table.drop(columns="margin"), "needs the columns"),
        "other classes": (
            table.rename(columns={"p_pale": "p_other"}).assign(**{"class": "dark"}),
            "have different classes",
        ),
        "a class without a column": (table.assign(**{"class": "PNN"}), "has no column of probabilities"),
        "a confidence above 1": (table.assign(confidence=1.5), "not a number from 0 to 1"),
        "an inverted box": (table.assign(x2=table["x1"] - 1), "is not a box"),
    }
    for what, (wrong, words) in cases.items():
        wrong.to_csv(tmp_path / "wrong.csv", index=False)
        with pytest.raises(CytoyoloError, match=words) as error:
            fuse([stored[1], tmp_path / "wrong.csv"], output=tmp_path / "f.csv")
        assert "\n" not in str(error.value), what
    plain = table.drop(columns=["p_dark", "p_pale"]).assign(**{"class": "PNN"})
    plain.to_csv(tmp_path / "plain.csv", index=False)
    with pytest.raises(CytoyoloError, match="has the class 'PNN'"):
        fuse([stored[1], tmp_path / "plain.csv"], output=tmp_path / "f.csv")
    assert not (tmp_path / "f.csv").exists()


def test_tables_of_other_kinds_are_named(stored, blobs, small_run, tmp_path):
    submission = tmp_path / "s.csv"
    submit(small_run / "weights" / "best.pt", blobs / "test.csv", images=blobs / "images", output=submission)
    (tmp_path / "failures.csv").write_text("NAME,problem\na.jpg,is empty\n")
    general = "give those that .*probabilities.* writes: OUTPUT.detections.csv, or detections.csv in a folder"
    cases = (
        (submission, r"s\.csv is a submission, .* give .*s\.detections\.csv, which .*probabilities.* writes"),
        (blobs / "labels.csv", f"labels.csv is a label table, not a table of detections; {general}"),
        (blobs / "test.csv", f"is a test table, not a table of detections; {general}"),
        (tmp_path / "failures.csv", f"is a table of failures, not a table of detections; {general}"),
    )
    for path, words in cases:
        with pytest.raises(CytoyoloError, match=words):
            fuse([stored[0], path], output=tmp_path / "f.csv")
    (tmp_path / "s.detections.csv").touch()
    with pytest.raises(CytoyoloError, match=r"give .*s\.detections\.csv, which stands beside it"):
        fuse([submission], output=tmp_path / "f.csv")


def test_wrong_calls(stored, blobs, tmp_path):
    for wrong in (
        {"tables": []},
        {"tables": [tmp_path / "none.csv"]},
        {"iou": 2.0},
        {"model_weights": [1.0]},
        {"fallback": "dark"},
        {"test": blobs / "test.csv", "dataset": blobs / "spec.yaml", "fallback": "PNN"},
    ):
        with pytest.raises(UsageError):
            fuse(**{"tables": stored, "output": tmp_path / "f.csv", **wrong})
    assert not (tmp_path / "f.csv").exists()


def test_a_test_table_of_other_images_is_refused(stored, blobs, tmp_path):
    """All rows would get the fallback class, and look like a submission."""
    table = pd.read_csv(blobs / "test.csv")
    table.assign(NAME="other/" + table["NAME"]).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(CytoyoloError, match=r"test\.csv has none of the images of the tables"):
        fuse(stored, output=tmp_path / "f.csv", test=tmp_path / "test.csv", dataset=blobs / "spec.yaml")
    assert not (tmp_path / "f.csv").exists()


OWN = "NAME,x1,y1,x2,y2,class,confidence,second_class,margin,p_dark,p_pale\n"
FOLDED = "NAME,fold,width,height,x1,y1,x2,y2,confidence,p_dark,p_pale\n"
CELL, FOLDED_CELL = "10,10,50,50,dark,0.9,pale,0.85,0.9,0.05\n", ",0,200,150,10.00,10.00,50.00,50.00,0.9,0.9,0.05\n"


@pytest.mark.parametrize("as_classifier", [False, True])
def test_tables_without_a_common_image_are_refused(as_classifier, tmp_path):
    """No box would be fused, and every confidence would be halved."""
    for name, image in (("a.csv", "a.jpg"), ("b.csv", "slides/a.jpg")):
        (tmp_path / name).write_text(f"{OWN}{image},{CELL}")
    tables, votes = [tmp_path / "a.csv"], [tmp_path / "b.csv"]
    given = {"classifiers": votes} if as_classifier else {}
    with pytest.raises(CytoyoloError, match=r"have no image in common \(such as 'a.jpg' and 'slides/a.jpg'\)"):
        fuse(tables if as_classifier else tables + votes, output=tmp_path / "f.csv", **given)
    assert not (tmp_path / "f.csv").exists()


def test_detectors_may_have_cells_in_different_images_only(blobs, tmp_path, caplog):
    """A table of `predict` lists images with cells only. A cross-validation lists all that were searched."""
    caplog.set_level("INFO", "cytoyolo")
    for header, cell, name in ((OWN, f",{CELL}", "p"), (FOLDED, FOLDED_CELL, "c")):
        for image in "ab":
            (tmp_path / f"{name}{image}.csv").write_text(f"{header}{image}.jpg{cell}")
    fuse([tmp_path / "pa.csv", tmp_path / "pb.csv"], output=tmp_path / "f.csv", dataset=blobs / "spec.yaml")
    assert caplog.text.count("in which") == 2
    with pytest.raises(CytoyoloError, match="have no image in common"):
        fuse([tmp_path / "ca.csv", tmp_path / "cb.csv"], output=tmp_path / "g.csv", dataset=blobs / "spec.yaml")


@pytest.mark.parametrize(
    ("header", "cell", "words"),
    [
        (
            OWN,
            f",{CELL}",
            "Images of the other tables in which {} has no cells: 1 of 3 (c.jpg). If these images were not",
        ),
        (FOLDED, FOLDED_CELL, "Images of the other tables that {} lacks: 1 of 3 (c.jpg). Their cells get lower"),
    ],
)
def test_images_that_a_table_does_not_have_are_told(header, cell, words, blobs, tmp_path, caplog):
    for name, images in (("all.csv", "abc"), ("some.csv", "ab")):
        (tmp_path / name).write_text(header + "".join(f"{image}.jpg{cell}" for image in images))
    tables = [tmp_path / "all.csv", tmp_path / "some.csv"]
    caplog.set_level("INFO", "cytoyolo")
    fuse([tables[0], tables[0]], output=tmp_path / "f.csv", dataset=blobs / "spec.yaml")
    assert "Images of the other tables" not in caplog.text
    fuse(tables, output=tmp_path / "g.csv", dataset=blobs / "spec.yaml")
    assert words.format(tables[1]) in caplog.text
