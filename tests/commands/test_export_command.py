"""`export` and `bench`: files that can be run, int8 with its proof, and wrong calls."""

import json
import shutil

import pandas as pd
import pytest

from cytoyolo import bench, export, predict, submit
from cytoyolo.commands.export import _parted
from cytoyolo.detector.ensemble_folder import read_ensemble, write_ensemble
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec
from tests.classifiers import untrained


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.mark.slow
@pytest.mark.parametrize(("format", "name"), [("onnx", "small.onnx"), ("openvino", "small_openvino")])
def test_int8_comes_with_a_comparison(weights, blobs, tmp_path, cytoyolo, format, name):
    output = tmp_path / name
    call = ["export", weights, "-o", output, "--format", format, "--int8", "--calibrate", blobs / "labels.csv"]
    done = cytoyolo(*call, "--images", blobs / "images", "--max-loss", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{output}\nfp32: score 0.")  # and no progress of a library before it
    assert "int8: score 0." in done.stdout and "kept out of the calibration" in done.stdout
    found = json.loads((tmp_path / f"{name}.comparison.json").read_text())
    assert found["calibration_images"] + found["comparison_images"] == 24
    assert found["loss"] == pytest.approx(found["fp32"]["score"] - found["int8"]["score"])
    assert str(tmp_path) not in json.dumps(found)
    made = submit(output, blobs / "test.csv", images=blobs / "images", output=tmp_path / "s.csv")
    assert made.rows == 6
    assert cytoyolo(*call, "--images", blobs / "images").returncode == 2  # it exists


@pytest.mark.slow
def test_an_ensemble_becomes_an_ensemble_of_onnx_files(weights, blobs, tmp_path):
    whole, made = tmp_path / "whole", tmp_path / "onnx"
    whole.mkdir()
    models = {"fold0.pt": weights, "fold1.pt": weights.with_name("last.pt")}
    chosen = {"cells": 7, "figures": []}
    cls = untrained(tmp_path / "cls.pt", load_spec(blobs / "spec.yaml"))
    write_ensemble(whole, models, {"cls.pt": cls}, ("dark", "pale"), (1.0, 2.0, 0.5), chosen)
    assert export(whole, output=made).output == made
    before, after = read_ensemble(whole), read_ensemble(made)
    names = [path.name for path in (*after.detectors, *after.classifiers)]
    assert names == ["fold0.onnx", "fold1.onnx", "cls.onnx"]
    assert (after.weights, after.classes) == (before.weights, before.classes)
    assert json.loads((made / "ensemble.json").read_text())["chosen_on"] == chosen
    tables = []
    for name in (whole, made):
        options = {"conf": 0.0001, "device": "cpu", "probabilities": True, "report": False}
        predict(name, [blobs / "images"], output=tmp_path / f"{name.name}-found", **options)
        tables.append(pd.read_csv(tmp_path / f"{name.name}-found" / "detections.csv"))
    assert len(tables[0])
    pd.testing.assert_frame_equal(*tables, atol=2e-3, check_exact=False)


def test_wrong_exports_of_ensembles(weights, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    write_ensemble(whole, {"a.pt": weights}, {}, ("dark", "pale"))
    for options, words in (
        ({"output": tmp_path / "a.onnx"}, "each of its models becomes a file; give a folder"),
        ({"output": tmp_path / "b", "format": "openvino"}, "leave out format='openvino'"),
        ({"output": tmp_path / "b", "int8": True}, "leave out int8=True"),
        ({"output": tmp_path / "b", "imgsz": 64}, "`imgsz` needs int8=True"),
    ):
        with pytest.raises(UsageError, match=words):
            export(whole, **options)
    export(whole, output=tmp_path / "made")
    with pytest.raises(UsageError, match=r"only checkpoints are exported; use .*made as it is"):
        export(tmp_path / "made", output=tmp_path / "b")
    with pytest.raises(UsageError, match="overwrite=True"):
        export(whole, output=tmp_path / "made")
    assert not (tmp_path / "b").exists() and not (tmp_path / "a.onnx").exists()


def test_a_loss_that_is_too_great_is_refused(weights, blobs, tmp_path):
    with pytest.raises(CytoyoloError, match=r"int8 loses .* more than max_loss=-1"):
        export(
            weights, output=tmp_path / "a.onnx", int8=True, calibrate=blobs / "labels.csv", images=blobs / "images",
            max_loss=-1,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_export_is_replaced_only_on_request(weights, tmp_path):
    for name, format in (("a.onnx", "onnx"), ("b", "openvino")):
        export(weights, output=tmp_path / name, format=format)
        with pytest.raises(UsageError, match="overwrite=True"):
            export(weights, output=tmp_path / name, format=format)
        export(weights, output=tmp_path / name, format=format, overwrite=True)


@pytest.mark.slow
def test_wrong_exports(weights, blobs, tmp_path, monkeypatch):
    labels, images, output = blobs / "labels.csv", blobs / "images", tmp_path / "a.onnx"
    wrong = [
        {"format": "tensorrt"},
        {"output": tmp_path / "a.bin"},
        {"output": tmp_path},
        {"calibrate": labels},
        {"seed": 1},
        {"max_loss": 0.1},
        {"int8": True},
        {"int8": True, "calibrate": labels},
        {"int8": True, "calibrate": labels, "images": tmp_path / "none"},
        {"int8": True, "calibrate": labels, "images": images, "seed": -1},
        {"int8": True, "calibrate": tmp_path / "none.csv", "images": images},
    ]
    for call in wrong:
        with pytest.raises(UsageError):
            export(weights, **{"output": output, **call})
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    table = pd.read_csv(labels)
    table.head(1).to_csv(one, index=False)
    table.assign(**{"class": "PNN"}).to_csv(other, index=False)
    for path, words in ((one, "two images or more"), (other, r"classes the weights don't know \(PNN\)")):
        with pytest.raises(CytoyoloError, match=words):
            export(weights, output=output, int8=True, calibrate=path, images=images)
    (tmp_path / "bad").mkdir()
    for path in images.iterdir():
        (tmp_path / "bad" / path.name).write_text("no picture")
    with pytest.raises(CytoyoloError, match="mend the table"):
        export(weights, output=output, int8=True, calibrate=labels, images=tmp_path / "bad")
    shutil.copytree(images, tmp_path / "half")
    compared = _parted(sorted(path.name for path in images.iterdir()), 0)[1]
    (tmp_path / "half" / compared[-1]).unlink()
    with pytest.raises(CytoyoloError, match=rf"{compared[-1]} is missing; mend the table"):
        export(weights, output=output, int8=True, calibrate=labels, images=tmp_path / "half", max_loss=1)
    with pytest.raises(CytoyoloError, match="is a text file"):
        export(labels, output=output)
    assert not output.exists()
    from cytoyolo.detector import export as exports

    monkeypatch.setattr(exports, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs onnx, openvino; pip install 'cytoyolo\[openvino\]'"):
        export(weights, output=tmp_path / "b", format="openvino")


@pytest.mark.slow
def test_bench_times_all_ways(weights, blobs, cytoyolo):
    done = cytoyolo("bench", weights, "--images", blobs / "images", "--seconds", 0.2, "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    rows = pd.DataFrame(json.loads(done.stdout)["ways"])
    assert set(rows["backend"]) == {"torch", "onnx", "openvino"}
    assert rows["images_a_second"].is_monotonic_decreasing and (rows["images_a_second"] > 0).all()


def test_wrong_benches(weights, blobs, tmp_path):
    for wrong in ({"seconds": 0}, {"images": tmp_path / "none"}, {"backend": ["tensorrt"]}, {"threads": [0]}):
        with pytest.raises(UsageError):
            bench(weights, **{"images": blobs / "images", "device": "cpu", **wrong})
    export(weights, output=tmp_path / "a.onnx")
    with pytest.raises(UsageError, match="runs with backend='onnx' only"):
        bench(tmp_path / "a.onnx", images=blobs / "images", backend=["torch"], device="cpu")
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(CytoyoloError, match="give a folder of images that can be read"):
        bench(weights, images=tmp_path, device="cpu", backend=["onnx"])


def test_a_comparison_goes_with_its_export_and_a_users_file_stays(weights, tmp_path):
    notes = tmp_path / "a.onnx.comparison.json"
    notes.write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"comparison\.json"):
            export(weights, output=tmp_path / "a.onnx", overwrite=overwrite)
    assert notes.read_text() == "{}" and not (tmp_path / "a.onnx").exists()
    notes.write_text(json.dumps({"fp32": {}, "int8": {}, "weights_sha256": ""}))
    export(weights, output=tmp_path / "a.onnx", overwrite=True)
    assert not notes.exists()
    (tmp_path / "b.onnx").write_text("not an export")
    with pytest.raises(UsageError, match="is not a file that this command made"):
        export(weights, output=tmp_path / "b.onnx", overwrite=True)
    assert (tmp_path / "b.onnx").read_text() == "not an export"
