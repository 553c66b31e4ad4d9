"""torch, ONNX Runtime and OpenVINO: the same boxes from each, and exports that keep no trace of their machine."""

import copy
import json
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cytoyolo import __version__
from cytoyolo.detector import networks
from cytoyolo.detector.detections import concatenate
from cytoyolo.detector.ensemble import Ensemble
from cytoyolo.detector.export import converted, stored_facts, write_onnx, write_openvino
from cytoyolo.detector.model_info import FACTS_FILE, METADATA, ModelInfo, parse_model_info
from cytoyolo.detector.networks import open_network
from cytoyolo.detector.predict import Detector
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.info import decode

# OpenVINO takes seconds to convert a network; the same code runs it for ONNX.
SLOW_OPENVINO = pytest.param("openvino", marks=pytest.mark.slow)


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


@pytest.mark.parametrize("backend", ["onnx", SLOW_OPENVINO])
def test_a_side_other_than_the_trainings_works_too(exports, blobs, backend):
    one, other = (Detector(exports[name], imgsz=96, conf=1e-3, device="cpu") for name in ("torch", backend))
    images = pictures(blobs, 3)
    for wanted, found in zip(one.predict(images), other.predict(images), strict=True):
        np.testing.assert_allclose(wanted.xyxy, found.xyxy, atol=0.05)
    for given in (exports[backend], exports["torch"]):  # a converted checkpoint is named as the user gave it
        with pytest.raises(UsageError) as error:
            Detector(given, imgsz=100, device="cpu", backend=backend)
        assert str(error.value) == f"{given} can't take images of 100 px; give `imgsz`, a multiple of 32."


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_threads_share_a_detector(exports, blobs, backend):
    detector = Detector(exports[backend], conf=1e-3, backend=backend, device="cpu")
    images = pictures(blobs) * 4
    alone = [detector.predict(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(detector.predict, images))
    for wanted, found in zip(alone, together, strict=True):
        assert (wanted.xyxy == found.xyxy).all() and (wanted.probabilities == found.probabilities).all()


def found_in_a_process(work, detector, images, method):
    """What `work` says of each image, in two processes started by `method`."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map_async(partial(work, detector), images).get(timeout=120)


def boxes_found(detector, image):
    try:
        return (detector or shared_detector).predict(image).xyxy
    except CytoyoloError as error:
        return str(error)


shared_detector = None  # what a forked child finds in the memory of its parent


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_a_detector_goes_through_a_fork_or_says_why_not(exports, blobs, backend, monkeypatch):
    images = pictures(blobs, 3)
    detector = Detector(exports["torch"], conf=1e-3, backend=backend, device="cpu", threads=2)
    wanted = [detector.predict(image).xyxy for image in images]
    with ThreadPoolExecutor(2) as pool:  # threads that the children don't have
        list(pool.map(detector.predict, images))
    for one in (detector, Ensemble([detector], views=["hflip"])):
        monkeypatch.setattr(sys.modules[__name__], "shared_detector", one)
        found = found_in_a_process(boxes_found if one is detector else count_found, None, images, "fork")
        if backend == "openvino":
            assert all("OpenVINO was used before this process was forked" in one for one in found)
        elif one is detector:
            for box, again in zip(wanted, found, strict=True):
                np.testing.assert_allclose(box, again, atol=1e-3)
        else:
            assert found == [len(one.detect([image])[0]) for image in images]


def count_found(detector, image):
    try:
        return len((detector or shared_detector).detect([image])[0])
    except CytoyoloError as error:
        return str(error)


@pytest.mark.parametrize("backend", ["torch", "onnx", SLOW_OPENVINO])
def test_a_detector_is_pickled_as_its_path_and_settings(exports, blobs, backend, tmp_path, monkeypatch):
    weights = tmp_path / "best.pt"
    shutil.copyfile(exports["torch"], weights)
    monkeypatch.chdir(tmp_path)
    detector = Detector("best.pt", conf=1e-3, iou=0.3, backend=backend, device="cpu", batch=3)
    detector.max_det = 7
    stored = pickle.dumps(detector)
    assert len(stored) < 5000
    monkeypatch.chdir(tmp_path.parent)
    image = pictures(blobs, 1)[0]
    for again in (pickle.loads(stored), copy.deepcopy(detector)):
        assert (again.conf, again.iou, again.batch, again.max_det) == (1e-3, 0.3, 3, 7)
        assert again.label == detector.label
        assert (again.predict(image).xyxy == detector.predict(image).xyxy).all()
    ensemble = Ensemble([detector, detector], weights=[1, 2], views=["hflip"])
    assert len(pickle.loads(pickle.dumps(ensemble)).detect([image])[0]) == len(ensemble.detect([image])[0])
    shutil.copyfile(tmp_path / "best.pt", tmp_path / "other.pt")
    with (tmp_path / "best.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CytoyoloError, match=r"best\.pt has changed since it was opened; open it again"):
        pickle.loads(stored).predict(image)
    (tmp_path / "best.pt").unlink()
    again = pickle.loads(stored)  # an error here would hang a pool of processes
    assert again.codes == detector.codes
    with pytest.raises(UsageError, match=r"best\.pt: no such weights"):
        again.predict(image)


def test_a_pool_of_forked_processes_that_gets_a_detector_never_hangs(exports, blobs):
    image = pictures(blobs, 1)[0]
    detector = Detector(exports["openvino"], conf=1e-3)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply_async(count_found, (detector, image)).get(60)
    assert "OpenVINO was used before this process was forked" in found


def test_a_spawned_process_takes_a_detector(exports, blobs):
    images = pictures(blobs, 2)
    detector = Detector(exports["onnx"], conf=1e-3)
    found = found_in_a_process(boxes_found, detector, images, "spawn")
    for image, boxes in zip(images, found, strict=True):
        assert (detector.predict(image).xyxy == boxes).all()


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


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", SLOW_OPENVINO])
def test_a_checkpoint_is_converted_where_nothing_can_be_kept(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "file" / "home"))
    (tmp_path / "file").touch()
    with converted(exports["torch"], target) as made:
        assert open_network(made, device="cpu").backend == target
    assert not made.exists()
    assert open_network(exports["torch"], target, device="cpu").backend == target


def test_an_interrupt_after_several_openvino_networks_is_one(exports):
    code = (
        "import signal, sys; from pathlib import Path; from cytoyolo.detector.networks import open_network\n"
        "networks = [open_network(Path(sys.argv[1]), device='cpu') for _ in range(2)]\n"
        "while networks: networks.pop(0)\n"
        "try: signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, exports["openvino"]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.parametrize("target", ["onnx", SLOW_OPENVINO])
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


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_conversion_that_stays_unusable_is_not_named(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))

    def refuse(path, *arguments):
        raise CytoyoloError(f"{path} is no network")

    monkeypatch.setattr(networks, "_checked", refuse)
    with pytest.raises(CytoyoloError) as error:
        open_network(exports["torch"], target, device="cpu")
    assert str(error.value) == f"{exports['torch']} can't be run by {target} on this machine; give backend='torch'."


@pytest.mark.slow
def test_a_conversion_that_lost_its_network_is_made_anew(exports, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))
    with converted(exports["torch"], "openvino") as kept:
        (kept / "model.xml").unlink()
    assert open_network(exports["torch"], "openvino", device="cpu").backend == "openvino"
    with pytest.raises(UsageError, match=r"holds no model\.xml; give a folder"):
        open_network(tmp_path, device="cpu")


@pytest.mark.parametrize("target", ["onnx", SLOW_OPENVINO])
def test_two_first_conversions_at_once(exports, tmp_path, monkeypatch, target):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: open_network(exports["torch"], target, device="cpu").backend, range(2)))
    assert found == [target] * 2
    assert len(list((tmp_path / "exports").iterdir())) == 1


@pytest.mark.slow
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
    assert parse_model_info((exports["openvino"] / FACTS_FILE).read_text(), Path("x")) == facts
    for path in (exports["onnx"], *exports["openvino"].iterdir()):
        data = path.read_bytes()
        assert not any(part.encode() in data for part in (str(Path.cwd()), str(small_run), os.sep + "tmp"))


def test_an_onnx_file_says_what_it_is_and_its_licence(exports):
    import onnx

    model = onnx.load(str(exports["onnx"]))
    told = {entry.key: entry.value for entry in model.metadata_props}
    described = "detector of 2 kinds of cell (fp32), trained for the data set 'blobs'"
    assert told["description"] == model.doc_string == described
    assert told["version"] == model.producer_version == __version__
    assert told["license"] == "AGPL-3.0-or-later" and model.producer_name == "cytoyolo"


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
    facts = ModelInfo(("a", "b"), None, 64, 32, "f" * 64)
    assert parse_model_info(facts.to_json(), Path("x")) == facts
    for wrong in ("{}", "[]", "no json", json.dumps({**json.loads(facts.to_json()), "stride": 0})):
        with pytest.raises(CytoyoloError, match="x has a damaged description of its classes"):
            parse_model_info(wrong, Path("x"))


def test_truncated_and_foreign_exports_are_refused(exports, tmp_path):
    import onnx
    from onnx import TensorProto, helper

    data = exports["onnx"].read_bytes()
    for size in (0, 100, len(data) // 2, len(data) - 1000):
        (tmp_path / "cut.onnx").write_bytes(data[:size])
        with pytest.raises(
            CytoyoloError, match=r"cut\.onnx (is empty|is not an ONNX network, or is truncated|does not say)"
        ):
            Detector(tmp_path / "cut.onnx")
    folder = tmp_path / "cut_openvino"
    folder.mkdir()
    for name in ("model.xml", "model.bin", FACTS_FILE):
        whole = (exports["openvino"] / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2] if name == "model.bin" else whole)
    with pytest.raises(CytoyoloError, match="is not an OpenVINO network, or is truncated"):
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


def relabelled(exports, tmp_path, dimensions=(), batch=None, dtype=None, **metadata):
    """An ONNX file with the metadata that Ultralytics' own export writes, of this size and kind of numbers."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(exports["onnx"]))
    del model.metadata_props[:]
    said = {"task": "detect", "names": {0: "dark", 1: "pale"}, "stride": 32, "imgsz": [64, 64], "end2end": False}
    for key, value in {**said, **metadata}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, str(value)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    for place, size in {0: batch, **dict(zip((2, 3), dimensions, strict=False))}.items():
        if size:
            shape[place].dim_value = size
    if dtype == "half":
        one = onnx.TensorProto.FLOAT16
        model.graph.input[0].type.tensor_type.elem_type = one
        model.graph.input[0].name = "halves"
        model.graph.node.insert(0, onnx.helper.make_node("Cast", ["halves"], ["images"], to=onnx.TensorProto.FLOAT))
    if dtype == "nan":
        weights = next(one for one in model.graph.initializer if len(one.dims) == 4)
        values = numpy_helper.to_array(weights).copy()
        values[0] = np.nan
        weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    path = tmp_path / "u.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"dimensions": (64, 64)},
        {"dimensions": (64, 64), "batch": 1},
        {"batch": 4},
        {"dtype": "half"},
        {"args": {"quantize": 16}},
    ],
)
def test_an_onnx_of_ultralytics_itself_runs(exports, blobs, tmp_path, form):
    images = pictures(blobs, 6)
    one, other = (
        Detector(exports["onnx"], conf=1e-3),
        Detector(relabelled(exports, tmp_path, **form), conf=1e-3, batch=3),
    )
    assert other.codes == one.codes and other.imgsz == 64 and other.spec is None
    assert other.precision == ("fp16" if {"dtype", "args"} & form.keys() else "fp32")
    for wanted, found in zip(one.predict(images), other.predict(images), strict=True):
        assert len(wanted) == len(found) > 0
        np.testing.assert_allclose(wanted.xyxy, found.xyxy, atol=0.1)
        np.testing.assert_allclose(wanted.probabilities, found.probabilities, atol=1e-3)


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"task": "segment"}, "is a network for 'segment', not a detector"),
        ({"names": "__import__('os').abort()"}, "the same name for several classes"),
        ({"names": "[" * 9999}, "the same name for several classes"),
        ({"names": {0: "a", 1: "a"}}, "the same name for several classes"),
        ({"names": {0: "a"}}, "is not a detector of 1 classes"),
        ({"end2end": True}, "chooses boxes and classes inside the network"),
        ({"dimensions": (64, 96)}, "takes images of 96x64 px, which is not square"),
        ({"dtype": "nan"}, "gives boxes or scores that are not finite numbers"),
    ],
)
def test_an_onnx_that_cannot_be_used_is_told_why(exports, blobs, tmp_path, form, problem):
    with pytest.raises(CytoyoloError, match=problem):
        Detector(relabelled(exports, tmp_path, **form)).predict(pictures(blobs, 1))


def test_a_fixed_size_is_the_only_one(exports, tmp_path):
    with pytest.raises(UsageError, match="takes images of 64 px only"):
        Detector(relabelled(exports, tmp_path, dimensions=(64, 64)), imgsz=96)


def test_an_export_with_nms_inside_is_told_why(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    pixel = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])
    chosen = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 300, 6])
    made = helper.make_tensor("v", TensorProto.FLOAT, [1, 300, 6], np.zeros(1800))
    graph = helper.make_graph([helper.make_node("Constant", [], ["y"], value=made)], "g", [pixel], [chosen])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'dark', 1: 'pale'}"
    onnx.save(model, tmp_path / "nms.onnx")
    with pytest.raises(CytoyoloError, match="chooses boxes and classes inside the network"):
        Detector(tmp_path / "nms.onnx")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"backend": "tensorrt"}, {"backend": "torch"}, {"threads": 0}, {"threads": 1.5}, {"device": "7"}),
        *({"device": 0}, {"classifiers": "cells.pt"}, {"conf": "0.5"}, {"iou": float("nan")}),
    ],
)
def test_wrong_calls_of_an_export(exports, wrong):
    with pytest.raises(UsageError):
        Detector(exports["onnx"], **wrong)


def test_an_image_is_a_path_or_an_array(exports, blobs):
    detector = Detector(exports["onnx"], conf=1e-3)
    path = sorted((blobs / "images").iterdir())[0]
    bgr = decode(path)[0]
    wanted = detector.predict(path)
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    for image, channels in ((str(path), "bgr"), (bgr, "bgr"), (rgb, "rgb"), (Image.fromarray(rgb), "bgr")):
        assert (detector.predict(image, channels=channels).xyxy == wanted.xyxy).all()
    assert [len(one) for one in detector.predict([path, bgr])] == [len(wanted)] * 2
    assert detector.predict([]) == []
    gray = bgr[..., 0]
    assert (detector.predict(gray).xyxy == detector.predict(np.dstack([gray] * 3)).xyxy).all()
    assert (detector.predict(gray[..., None]).xyxy == detector.predict(gray).xyxy).all()
    assert len(detector.predict(bgr, conf=1.0)) == 0


def test_several_images_are_a_list_a_folder_a_pattern_or_a_generator(exports, blobs, tmp_path):
    detector = Detector(exports["onnx"], conf=1e-3, batch=2)
    paths = sorted((blobs / "images").iterdir())[:3]
    for path in paths:
        shutil.copy(path, tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    wanted = [one.xyxy for one in detector.predict(paths)]
    places = [str(tmp_path / path.name) for path in paths]
    for given in ([tmp_path], [str(tmp_path / "*.jpg")], (tmp_path / "*.jpg",), (Path(one) for one in places)):
        found = detector.predict(given)
        assert [one.image for one in found] == places
        assert all((one.xyxy == boxes).all() for one, boxes in zip(found, wanted, strict=True))
    names = [one.image for one in detector.predict(decode(path)[0] for path in paths)]
    assert names == ["image0", "image1", "image2"]
    (tmp_path / "empty").mkdir()
    for wrong, error, words in (
        ([tmp_path / "empty"], CytoyoloError, "empty holds no images; give a folder that does"),
        ([str(tmp_path / "*.png")], UsageError, r"no file matches .*\*\.png"),
        (tmp_path, UsageError, rf"^'{tmp_path}' is a folder; give it in a list, predict\(\['{tmp_path}'\]\), which"),
        (str(tmp_path / "*.jpg"), UsageError, r"\*\.jpg' is a pattern; give it in a list, predict\(\["),
    ):
        with pytest.raises(error, match=words):
            detector.predict(wrong)


def test_results_know_their_image_and_can_be_drawn(exports, blobs, tmp_path, monkeypatch):
    detector = Detector(exports["onnx"], conf=1e-3)
    path = sorted((blobs / "images").iterdir())[0]
    bgr = decode(path)[0]
    monkeypatch.chdir(path.parent)
    of_file, of_array = detector.predict([path.name, bgr])
    monkeypatch.chdir(tmp_path)
    assert (of_file.image, of_file.size, of_file.names) == (path.name, (80, 72), {0: "dark", 1: "pale"})
    assert (of_file.plot() == of_array.plot()).all() and (of_file.plot(bgr) == of_file.plot()).all()
    assert of_file.plot().shape == bgr.shape and (of_file.plot() != bgr).any()
    assert cv2.imread(str(of_file.save(tmp_path / "cells.png"))).tolist() == of_file.plot().tolist()
    with pytest.raises(CytoyoloError, match=r"cells\.xyz can't be written as a picture; give a name that ends in"):
        of_file.save(tmp_path / "cells.xyz")
    (streamed,) = detector.predict(iter([bgr]))  # whose pixels are let go
    with pytest.raises(UsageError, match="no image to draw on; give its pixels"):
        streamed.plot()
    assert (streamed.plot(bgr) == of_array.plot()).all()


def test_bad_files_are_errors_or_skipped(exports, blobs, tmp_path):
    detector = Detector(exports["onnx"], conf=1e-3, batch=2)
    good = sorted((blobs / "images").iterdir())[:2]
    (tmp_path / "text.jpg").write_text("no picture")
    bad = [tmp_path / "text.jpg", "nowhere.jpg"]
    with pytest.warns(
        UserWarning, match=r"images that were skipped: 2 \(.*text\.jpg .*nowhere\.jpg is missing"
    ) as told:
        found = detector.predict([bad[0], good[0], bad[1], good[1]], on_error="skip")
    assert [one.image for one in found] == list(map(str, good))
    assert told[0].filename == __file__
    for wrong in (*bad, [good[0], *bad]):
        with pytest.raises(CytoyoloError, match=r"leave it out\."):
            detector.predict(wrong)


WRONG_IMAGES = {
    "float": (np.zeros((9, 9, 3), np.float32), r"an array of float32 \(9, 9, 3\); give uint8 \(height, width, 3\), or"),
    "empty": (np.zeros((0, 9, 3), np.uint8), r"an array of uint8 \(0, 9, 3\)"),
    "four channels": (np.zeros((9, 9, 4), np.uint8), r"an array of uint8 \(9, 9, 4\)"),
    "a number": (7, "is of the type builtins.int; give a path, an array or a picture of Pillow"),
    "a list of lists": ([[1, 2], [3, 4]], "is of the type builtins.list; give a path"),
    "16 bits": (Image.new("I;16", (9, 9)), "has the mode I;16, not 8 bits a channel; give its file's path"),
}


@pytest.mark.parametrize("name", WRONG_IMAGES)
def test_what_is_no_image_is_one_sentence(exports, name):
    image, words = WRONG_IMAGES[name]
    with pytest.raises(UsageError, match=words):
        Detector(exports["onnx"]).predict(image, on_error="skip")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"conf": "0.5"}, r"conf='0\.5'; give a number from 0 to 1"),
        ({"conf": 2}, "conf=2; give a number from 0 to 1"),
        ({"channels": "grb"}, "channels='grb'; give bgr or rgb"),
        ({"on_error": "ignore"}, "on_error='ignore'; give raise or skip"),
    ],
)
def test_wrong_settings_of_a_call_are_one_sentence(exports, call, words):
    with pytest.raises(UsageError, match=words):
        Detector(exports["onnx"]).predict(np.zeros((9, 9, 3), np.uint8), **call)


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
