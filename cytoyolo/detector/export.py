"""Write a checkpoint as an ONNX file or an OpenVINO folder, in fp32, or in int8 calibrated on images.

The output is the network's own: the scores of all classes, without NMS. The batch and the side of the images are free.
"""

import io
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cytoyolo.detector.model_info import DETECT, FACTS_FILE, KINDS, METADATA, ModelInfo, parse_model_info
from cytoyolo.detector.networks import ONNX, OPENVINO, XML_FILE, Pixels, silent_openvino
from cytoyolo.detector.weights import load_network
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.files import atomic_file, check_place, new_folder
from cytoyolo.machine import LICENSE, __version__, state_folder
from cytoyolo.tables.table import fingerprint
from cytoyolo.text import counted
from cytoyolo.workers import ForkLock

MAKER = "export"
# The packages that make each target, as in pyproject's extras.
_FP32 = {ONNX: ("onnx",), OPENVINO: ("onnx", "openvino")}
_INT8 = {ONNX: ("onnx", "onnxruntime"), OPENVINO: ("onnx", "openvino", "nncf")}
# Raise this number if the conversion changes, because conversions are kept.
_VERSION = 1
_OPSET = 18  # newer ones have operators that ONNX Runtime can't run on a GPU
# These layers keep their precision in int8, because all other layers use their output. So does the head, whose output
# are boxes and scores. docs/measurements/fusion.md has the measurements.
_EXACT_LAYERS = (0, 1)
_INPUT, _OUTPUT = "images", "output0"
_EXPORTER = ForkLock()  # torch can run only one export at a time


def check_packages(target: str, int8: bool) -> None:
    """Raise UsageError now if the export would need a package that is not installed."""
    wanted = _INT8[target] if int8 else _FP32[target]
    if missing := [name for name in wanted if not find_spec(name)]:
        raise UsageError(f"this export needs {', '.join(missing)}; pip install 'cytoyolo[{target}]'.")


@contextmanager
def converted(path: Path, target: str, anew: bool = False) -> Iterator[Path]:
    """Yield the checkpoint as an fp32 export. It is made once (or `anew`), and kept in the tool's own folder.

    If this folder can't be written, the export is temporary.
    """
    write: Callable[[Path, Path], ModelInfo] = write_onnx if target == ONNX else write_openvino
    kept = state_folder() / "exports" / f"{fingerprint(path)[:32]}-{_VERSION}{'.onnx' if target == ONNX else ''}"
    if anew or not kept.exists():
        try:
            check_place(kept)
            if anew:
                shutil.rmtree(kept) if kept.is_dir() else kept.unlink(missing_ok=True)
            write(path, kept)
        except (CytoyoloError, OSError):
            if anew or not kept.exists():  # else another process was faster
                with tempfile.TemporaryDirectory(prefix="cytoyolo.") as folder:
                    write(path, Path(folder) / kept.name)
                    yield Path(folder) / kept.name
                return
    yield kept


def write_onnx(path: Path, target: Path) -> ModelInfo:
    """Write the network of a checkpoint, a detector or a classifier, as an ONNX file."""
    check_packages(ONNX, int8=False)
    network, facts = load_network(path)
    import onnx
    import torch

    from cytoyolo.detector.library_network import LibraryModel

    network = network.float().eval().fuse(verbose=False)
    head = network.model[-1]
    head.export = True
    free = {_INPUT: {0: "batch", 2: "height", 3: "width"}, _OUTPUT: {0: "batch"}}
    side = 4 * facts.stride
    if facts.task == DETECT:
        head.end2end = False  # of two heads the one that proposes all boxes: NMS-free heads name one class a box
        head.dynamic, head.format = True, "onnx"
        free[_OUTPUT][2] = "anchors"
    elif isinstance(network, LibraryModel):  # whose sizes may be fixed: it only ever sees crops of one side
        free, side = {_INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}}, network.yaml["side"]
    with atomic_file(target) as temporary:
        with _EXPORTER, warnings.catch_warnings(), torch.inference_mode(), _exporting(network, path):
            warnings.simplefilter("ignore")  # of the exporter's age and of shapes it takes for constants
            torch.onnx.export(
                network, torch.zeros(2, 3, side, side), str(temporary), input_names=[_INPUT], output_names=[_OUTPUT],
                dynamic_axes=free, opset_version=_OPSET, dynamo=False,
            )  # fmt: skip
        model = onnx.load(str(temporary))
        if facts.task == DETECT:
            model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4 + len(facts.codes)
        _describe(model, facts)
        onnx.save(model, str(temporary))
    return facts


@contextmanager
def _exporting(network: Any, path: Path) -> Iterator[None]:
    """Within it, a network can be exported. Raises CytoyoloError if the network of a library has operations that ONNX
    doesn't have."""
    from cytoyolo.detector.library_network import LibraryModel, exportable

    if not isinstance(network, LibraryModel):
        yield
        return
    try:
        with exportable(network), redirect_stdout(io.StringIO()):  # the exporter prints what it can't write
            yield
    except Exception as error:  # any of a dozen types
        what = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise CytoyoloError(
            f"{path} can't be written as ONNX ({what}); predict with it by {option('backend', 'torch')}."
        ) from error


def write_openvino(path: Path, target: Path, overwrite: bool = False) -> ModelInfo:
    """Write a checkpoint's network as an OpenVINO folder."""
    check_packages(OPENVINO, int8=False)
    with tempfile.TemporaryDirectory(prefix="cytoyolo.") as folder:
        facts = write_onnx(path, Path(folder) / "network.onnx")
        model = silent_openvino().convert_model(str(Path(folder) / "network.onnx"))
    _save_openvino(model, facts, target, overwrite)
    return facts


def write_int8(source: Path, target: Path, images: Sequence[Path], read: Callable[[Path], Pixels]) -> ModelInfo:
    """Write an fp32 export (an ONNX file or an OpenVINO folder) in int8. The ranges of its numbers are measured on
    images.

    `read` returns the pixels (1, 3, s, s) of one image when they are needed. Only convolutions are quantized, except
    the convolutions of the first two layers and of the head.
    """
    return (_int8_openvino if source.is_dir() else _int8_onnx)(source, target, images, read)


def _int8_onnx(source: Path, target: Path, images: Sequence[Path], read: Callable[[Path], Pixels]) -> ModelInfo:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, Pixels] | None:
            image = next(self.images, None)
            return None if image is None else {_INPUT: read(image)}

    facts = replace(stored_facts(source), precision="int8")
    with tempfile.TemporaryDirectory(prefix="cytoyolo.") as folder, atomic_file(target) as temporary:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        names = [node.name for node in onnx.load(str(ready)).graph.node]
        exact = [name for name in names if re.search(_exact(names), name)]
        quantize_static(
            str(ready), str(temporary), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
            nodes_to_exclude=exact,
        )  # fmt: skip
        model = onnx.load(str(temporary))
        _describe(model, facts)
        onnx.save(model, str(temporary))
    return facts


def _exact(names: Sequence[str]) -> str:
    """A pattern of the names of all nodes that keep their precision."""
    head = max(int(number) for name in names for number in re.findall(r"/model\.(\d+)/", name))
    return "/model\\.(" + "|".join(map(str, (*_EXACT_LAYERS, head))) + ")/"


def _int8_openvino(source: Path, target: Path, images: Sequence[Path], read: Callable[[Path], Pixels]) -> ModelInfo:
    openvino = silent_openvino()
    import nncf

    facts = replace(parse_model_info((source / FACTS_FILE).read_text(encoding="utf-8"), source), precision="int8")
    nncf.set_log_level(40)
    model = openvino.Core().read_model(source / XML_FILE)
    names = [one.get_friendly_name() for one in model.get_ops()]
    with redirect_stdout(io.StringIO()):  # its bars of progress, among what a program reads
        quantized = nncf.quantize(
            model, nncf.Dataset(images, read), preset=nncf.QuantizationPreset.MIXED, subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(patterns=[f".*{_exact(names)}.*"], validate=False),
        )  # fmt: skip
    _save_openvino(quantized, facts, target, overwrite=False)
    return facts


def stored_facts(path: Path) -> ModelInfo:
    """The facts of an ONNX file that `write_onnx` made."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return parse_model_info({one.key: one.value for one in model.metadata_props}[METADATA], path)


def with_facts(path: Path, target: Path, facts: ModelInfo) -> None:
    """Write an ONNX file again with other facts."""
    import onnx

    model = onnx.load(str(path))
    _describe(model, facts)
    with atomic_file(target) as temporary:
        onnx.save(model, str(temporary))


def is_own(path: Path) -> bool:
    """Whether a file is an ONNX network with this tool's facts."""
    try:
        stored_facts(path)
    except Exception:  # whatever a parser says of a file of another kind
        return False
    return True


def _describe(model: Any, facts: ModelInfo) -> None:
    """Write this tool's properties of the network into an ONNX model, and those that Ultralytics' own programs read."""
    names = dict(enumerate(facts.codes))
    described = f"{KINDS[facts.task]} of {counted(len(names), 'kind')} of cell ({facts.precision})"
    if facts.spec is not None:
        described += f", trained for the data set '{facts.spec.name}'"
    said = {
        METADATA: facts.to_json(), "task": facts.task, "names": names, "stride": facts.stride, "batch": 1,
        "imgsz": [facts.imgsz or 640] * 2, "description": described, "version": __version__, "license": LICENSE,
    }  # fmt: skip
    del model.metadata_props[:]
    for key, value in said.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, str(value)
    model.producer_name, model.producer_version, model.doc_string = "cytoyolo", __version__, described
    for node in model.graph.node:
        node.doc_string = ""


def _save_openvino(model: Any, facts: ModelInfo, target: Path, overwrite: bool) -> None:
    openvino = silent_openvino()
    with new_folder(target, MAKER, overwrite) as folder:
        try:
            openvino.save_model(model, str(folder / XML_FILE), compress_to_fp16=False)
        except RuntimeError as error:
            raise CytoyoloError(
                f"{target} can't be written ({str(error).splitlines()[-1]}); check the disk."
            ) from error
        (folder / FACTS_FILE).write_text(facts.to_json() + "\n", encoding="utf-8")
