"""torch, ONNX Runtime and OpenVINO: the same boxes from each, and exports that keep no trace of their machine."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cytoyolo.annotations.images import decode
from cytoyolo.detector import networks
from cytoyolo.detector.detections import concatenate
from cytoyolo.detector.export import converted, stored_facts, write_onnx, write_openvino
from cytoyolo.detector.facts import FACTS_FILE, METADATA, Facts, parse_facts
from cytoyolo.detector.networks import open_network
from cytoyolo.detector.predict import Detector
from cytoyolo.errors import CytoyoloError, UsageError


@pytest.fixture(scope="module")
def exports(small_run, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    best = small_run / "weights" / "best.pt"
    write_onnx(best, folder / "best.onnx")
    write_openvino(best, folder / "best_openvino")
    return {"torch": best, "onnx": folder / "best.onnx", "openvino": folder / "best_openvino"}


def pictures(blobs, count=9):
    return [decode(path)[0] for path in sorted((blobs / "images").iterdir())[:count]]


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_runtimes_find_what_torch_finds(exports, blobs, backend):
    images = pictures(blobs)
    wanted, found = (
        concatenate(Detector(exports[one], conf=1e-3, backend=one, device="cpu").predict(images), ("dark", "pale"))
        for one in ("torch", backend)
    )
    assert len(wanted) == len(found) > 9
    assert (wanted.class_id == found.class_id).all()
    np.testing.assert_allclose(wanted.xyxy, found.xyxy, atol=0.05)
    np.testing.assert_allclose(wanted.probabilities, found.probabilities, atol=1e-4)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_side_other_than_the_trainings_works_too(exports, blobs, backend):
    one, other = (Detector(exports[name], imgsz=96, conf=1e-3, device="cpu") for name in ("torch", backend))
    images = pictures(blobs, 3)
    for wanted, found in zip(one.predict(images), other.predict(images), strict=True):
        np.testing.assert_allclose(wanted.xyxy, found.xyxy, atol=0.05)
    for given in (exports[backend], exports["torch"]):  # a converted checkpoint is named as the user gave it
        with pytest.raises(UsageError) as error:
            Detector(given, imgsz=100, device="cpu", backend=backend)
        assert str(error.value) == f"{given} can't take images of 100 px; give --imgsz, a multiple of 32."


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_threads_share_a_detector(exports, blobs, backend):
    detector = Detector(exports[backend], conf=1e-3, backend=backend, device="cpu")
    images = pictures(blobs) * 4
    alone = [detector.predict(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(detector.predict, images))
    for wanted, found in zip(alone, together, strict=True):
        assert (wanted.xyxy == found.xyxy).all() and (wanted.probabilities == found.probabilities).all()


def test_a_checkpoint_runs_by_onnx_runtime_where_it_isinstalled(exports, monkeypatch):
    assert Detector(exports["torch"], device="cpu").label.startswith("onnx fp32 on cpu")
    monkeypatch.setattr(networks, "installed", lambda backend, making: backend == "openvino")
    assert open_network(exports["torch"], device="cpu").backend == "openvino"
    monkeypatch.setattr(networks, "installed", lambda backend, making: False)
    assert open_network(exports["torch"], device="cpu").backend == "torch"
    with pytest.raises(UsageError, match=r"not installed; pip install 'cytoyolo\[onnx\]'"):
        open_network(exports["onnx"])


def test_a_gpu_that_onnx_runtime_cannot_use_is_no_gpu(exports, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        assert Detector(exports["onnx"]).label == "onnx fp32 on cpu"
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(UsageError, match="give cpu or auto"):
        Detector(exports["onnx"], device="0")


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_checkpoint_is_converted_where_nothing_can_be_kept(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "file" / "home"))
    (tmp_path / "file").touch()
    with converted(exports["torch"], target) as made:
        assert open_network(made, device="cpu").backend == target
    assert not made.exists()
    assert open_network(exports["torch"], target, device="cpu").backend == target


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_damaged_conversion_or_anothers_is_made_anew(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))
    with converted(exports["torch"], target) as kept:
        pass
    parts = [kept] if kept.is_file() else [kept / "model.xml", kept / "cytoyolo.json"]
    whole = parts[0].read_bytes()
    parts[0].write_bytes(whole[: len(whole) // 2])
    assert open_network(exports["torch"], target, device="cpu").backend == target
    assert parts[0].read_bytes()[-9:] == whole[-9:]  # OpenVINO numbers its operations anew
    facts = parts[-1].read_bytes()
    sha256 = open_network(exports["torch"], target, device="cpu").facts.sha256.encode()
    parts[-1].write_bytes(facts.replace(sha256, b"0" * 64))
    assert open_network(exports["torch"], target, device="cpu").facts.sha256.encode() == sha256
    assert parts[-1].read_bytes() == facts


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_conversion_that_stays_unusable_is_not_named(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))

    def refuse(path, *arguments):
        raise CytoyoloError(f"{path} is no network")

    monkeypatch.setattr(networks, "_checked", refuse)
    with pytest.raises(CytoyoloError) as error:
        open_network(exports["torch"], target, device="cpu")
    assert str(error.value) == f"{exports['torch']} can't be run by {target} on this machine; give --backend torch."


def test_a_conversion_that_lost_its_network_is_made_anew(exports, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))
    with converted(exports["torch"], "openvino") as kept:
        (kept / "model.xml").unlink()
    assert open_network(exports["torch"], "openvino", device="cpu").backend == "openvino"
    with pytest.raises(UsageError, match=r"holds no model\.xml; give a folder"):
        open_network(tmp_path, device="cpu")


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_two_first_conversions_at_once(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: open_network(exports["torch"], target, device="cpu").backend, range(2)))
    assert found == [target] * 2
    assert len(list((tmp_path / "exports").iterdir())) == 1


@pytest.mark.parametrize("wanted", ["yolov10n", "yolo26n", "yolo11n"])
def test_networks_of_two_heads_keep_their_probabilities(wanted, tmp_path, blobs):
    import torch

    from cytoyolo.detector.engine import engine

    engine()
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network = DetectionModel(f"{wanted}.yaml", nc=2, verbose=False)
    network.names = {0: "dark", 1: "pale"}
    torch.save({"model": network, "train_args": {"imgsz": 64}}, tmp_path / "a.pt")
    images = pictures(blobs, 3)
    one, other = (Detector(tmp_path / "a.pt", conf=1e-6, backend=name, device="cpu") for name in ("torch", "onnx"))
    for expected, found in zip(one.predict(images), other.predict(images), strict=True):
        assert len(expected) == len(found) > 0 and expected.probabilities.shape[1] == 2
        np.testing.assert_allclose(expected.probabilities, found.probabilities, atol=1e-5)


def test_an_export_knows_its_classes_and_no_path(exports, small_run):
    facts = stored_facts(exports["onnx"])
    assert facts.codes == ("dark", "pale") and facts.imgsz == 64 and facts.precision == "fp32"
    assert parse_facts((exports["openvino"] / FACTS_FILE).read_text(), Path("x")) == facts
    for path in (exports["onnx"], *exports["openvino"].iterdir()):
        data = path.read_bytes()
        assert not any(part.encode() in data for part in (str(Path.cwd()), str(small_run), os.sep + "tmp"))


def test_an_export_is_the_same_each_time(exports, tmp_path):
    write_onnx(exports["torch"], tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exports["onnx"].read_bytes()


def test_ultralytics_itself_reads_the_export(exports, blobs):
    from cytoyolo.detector.engine import engine

    engine()
    from ultralytics import YOLO

    path = sorted((blobs / "images").iterdir())[0]
    found = YOLO(str(exports["onnx"]), task="detect").predict(
        str(path), conf=1e-3, iou=0.4, agnostic_nms=True, imgsz=64
    )
    wanted = Detector(exports["onnx"], conf=1e-3).predict(path)
    assert found[0].names == {0: "dark", 1: "pale"}
    np.testing.assert_allclose(found[0].boxes.xyxy.numpy(), wanted.xyxy, atol=0.01)


def test_an_onnx_detector_needs_no_torch(exports, blobs):
    code = (
        "import sys; from cytoyolo import Detector; "
        "found = Detector(sys.argv[1], conf=1e-3).predict(sys.argv[2]); assert len(found); "
        "assert 'torch' not in sys.modules and 'ultralytics' not in sys.modules"
    )
    image = sorted((blobs / "images").iterdir())[0]
    subprocess.run([sys.executable, "-c", code, exports["onnx"], image], check=True)


def test_facts_survive_being_stored():
    facts = Facts(("a", "b"), None, 64, 32, "f" * 64)
    assert parse_facts(facts.to_json(), Path("x")) == facts
    for wrong in ("{}", "[]", "no json", json.dumps({**json.loads(facts.to_json()), "stride": 0})):
        with pytest.raises(CytoyoloError, match="x has damaged facts about its classes"):
            parse_facts(wrong, Path("x"))


def test_truncated_and_foreign_exports_are_refused(exports, tmp_path):
    import onnx
    from onnx import TensorProto, helper

    data = exports["onnx"].read_bytes()
    for size in (0, 100, len(data) // 2, len(data) - 1000):
        (tmp_path / "cut.onnx").write_bytes(data[:size])
        with pytest.raises(CytoyoloError, match=r"cut\.onnx (is no ONNX network, or is truncated|does not say)"):
            Detector(tmp_path / "cut.onnx")
    folder = tmp_path / "cut_openvino"
    folder.mkdir()
    for name in ("model.xml", "model.bin", FACTS_FILE):
        whole = (exports["openvino"] / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2] if name == "model.bin" else whole)
    with pytest.raises(CytoyoloError, match="is no OpenVINO network, or is truncated"):
        Detector(folder)
    with pytest.raises(UsageError, match=r"holds no model\.xml"):
        Detector(tmp_path)
    pixel = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [pixel], [other])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "relu.onnx")
    with pytest.raises(CytoyoloError, match="does not say what its classes are"):
        Detector(tmp_path / "relu.onnx")
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, stored_facts(exports["onnx"]).to_json()
    onnx.save(model, tmp_path / "relu.onnx")
    with pytest.raises(CytoyoloError, match="is not a detector of 2 classes"):
        Detector(tmp_path / "relu.onnx")
    model = onnx.load(str(exports["onnx"]))
    for place in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = 64
    onnx.save(model, tmp_path / "fixed.onnx")
    with pytest.raises(CytoyoloError, match=r"fixed\.onnx takes images of a fixed size only"):
        Detector(tmp_path / "fixed.onnx")


@pytest.mark.parametrize("wrong", [{"backend": "tensorrt"}, {"backend": "torch"}, {"threads": 0}, {"device": "7"}])
def test_wrong_calls_of_an_export(exports, wrong):
    with pytest.raises(UsageError):
        Detector(exports["onnx"], **wrong)


def test_an_image_is_a_path_or_an_array(exports, blobs):
    detector = Detector(exports["onnx"], conf=1e-3)
    path = sorted((blobs / "images").iterdir())[0]
    bgr = decode(path)[0]
    wanted = detector.predict(path)
    for image, rgb in ((str(path), False), (bgr, False), (np.ascontiguousarray(bgr[..., ::-1]), True)):
        assert (detector.predict(image, rgb=rgb).xyxy == wanted.xyxy).all()
    assert [len(one) for one in detector.predict([path, bgr])] == [len(wanted)] * 2
    assert detector.predict([]) == []
    for wrong in (bgr.astype(np.float32), bgr[..., 0], bgr[:0], 7):
        with pytest.raises(UsageError, match=r"give (uint8|a path or an array uint8) \(height, width, 3\)"):
            detector.predict(wrong)
    with pytest.raises(CytoyoloError, match="is missing"):
        detector.predict("nowhere.jpg")


def test_results_as_tables(exports, blobs):
    found = Detector(exports["onnx"], conf=1e-3).predict(sorted((blobs / "images").iterdir())[0])
    table = found.to_pandas()
    assert list(table.columns) == ["x1", "y1", "x2", "y2", "class", "confidence", "p_dark", "p_pale"]
    assert (table["confidence"] == table[["p_dark", "p_pale"]].max(axis=1)).all()
    assert set(table["class"]) <= {"dark", "pale"}
    other = found.to_supervision()
    assert len(other) == len(found) and (other.data["class_name"] == table["class"].to_numpy()).all()


def test_nothing_is_sent(exports, blobs, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("onnx", "openvino"):
        Detector(exports[name], conf=1e-3).predict(pictures(blobs, 2))
