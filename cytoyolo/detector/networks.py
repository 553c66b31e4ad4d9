"""A trained detector or classifier, ready to run with torch, ONNX Runtime or OpenVINO. All are called in the same way.

On a CPU the two runtimes take one image in a call, and use one thread for a call. There are as many calls at a time as
cores. So no core waits for another core, and the detections of an image do not depend on other images or on the number
of cores.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.detector.engine import MAX_SIDE, check_device
from cytoyolo.detector.ensemble_folder import is_ensemble
from cytoyolo.detector.foreign import check_file, name_onnx
from cytoyolo.detector.model_info import (
    CLASSIFY,
    DETECT,
    FACTS_FILE,
    KINDS,
    METADATA,
    ModelInfo,
    Task,
    parse_model_info,
)
from cytoyolo.detector.signal_stack import signal_stack_kept
from cytoyolo.detector.ultralytics_onnx import InputForm, read_ultralytics
from cytoyolo.errors import CytoyoloError, UsageError, call, check_choice, option
from cytoyolo.machine import cores
from cytoyolo.tables.table import fingerprint

TORCH: Final = "torch"
ONNX: Final = "onnx"
OPENVINO: Final = "openvino"
BACKENDS: tuple[defaults.Backend, ...] = (TORCH, ONNX, OPENVINO)
XML_FILE = "model.xml"
# The packages that a backend needs to run, and the packages that convert a checkpoint for it.
_RUNS = {TORCH: ("torch",), ONNX: ("onnxruntime",), OPENVINO: ("openvino",)}
_MAKES = {TORCH: (), ONNX: ("onnx",), OPENVINO: ("onnx",)}
_BATCH_CPU, _BATCH_GPU = 8, 32

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A network on a device. `run` takes pixels (n, 3, side, side), RGB, 0 to 1. A detector gives (n, 4 + classes,
    anchors): centre x, centre y, width and height in pixels of the square, and the score of each class, 0 to 1. A
    classifier gives (n, classes): probabilities that sum to 1. `run` may be called by several threads; `calls` at a
    time keep the device busy, each best of `batch` images."""

    run: Callable[[Pixels], NDArray[np.float32]]
    facts: ModelInfo
    side: int
    backend: str
    device: str
    calls: int
    batch: int

    @property
    def label(self) -> str:
        """How it is named to people."""
        return f"{self.backend} {self.facts.precision} on {self.device}"


def open_network(
    path: Path,
    backend: defaults.Backend = defaults.BACKEND,
    device: str = defaults.DEVICE,
    imgsz: int | None = None,
    threads: int | None = None,
    task: Task = DETECT,
) -> Network:
    """Load a checkpoint (.pt), an ONNX file of `cytoyolo export` or Ultralytics, or an OpenVINO folder of `cytoyolo
    export`.

    Backend "auto" is torch on a GPU. On a CPU it is the fastest installed runtime, ONNX Runtime before OpenVINO, and
    torch if neither is installed. For a runtime a checkpoint is converted once, in a second or two, and kept beside the
    downloaded weights. Raises UsageError for a missing file, package or device, and CytoyoloError for a file that is
    not such a detector, or, if the `task` is "classify", not a classifier.
    """
    network = _opened(path, backend, device, imgsz, threads or cores())
    if network.facts.task != task:
        remedy = (
            f"give a detector, and this file as {option('classifiers')}" if task == DETECT else "give other weights"
        )
        raise CytoyoloError(f"{path} is a {KINDS[network.facts.task]}, and a {KINDS[task]} is needed; {remedy}.")
    return _watched(path, network)


def _watched(path: Path, network: Network) -> Network:
    """Return the network, which raises CytoyoloError if its output can't be used."""
    facts = network.facts
    outputs = _outputs(facts)

    def run(pixels: Pixels) -> NDArray[np.float32]:
        found = network.run(pixels)
        if (found.ndim, *found.shape[1:2]) != outputs:
            raise CytoyoloError(f"{path} is not a {KINDS[facts.task]} of {len(facts.codes)} classes; export it again.")
        if not np.isfinite(found).all():
            given = "boxes or scores" if facts.task == DETECT else "probabilities"
            raise CytoyoloError(
                f"{path} gives {given} that are not finite numbers: its training diverged, or its arithmetic "
                "is not precise enough; give other weights."
            )
        return found

    return replace(network, run=run)


def _outputs(facts: ModelInfo) -> tuple[int, int]:
    """The number of dimensions of a network's output, and the length of the second dimension."""
    return (2, len(facts.codes)) if facts.task == CLASSIFY else (3, 4 + len(facts.codes))


def _opened(path: Path, backend: str, device: str, imgsz: int | None, count: int) -> Network:
    check_choice("backend", backend, defaults.Backend)
    check_device(device)
    if not path.exists():
        raise UsageError(f"{path}: no such weights; check the path.")
    if path.is_dir() or path.suffix.lower() == ".onnx":
        own = OPENVINO if path.is_dir() else ONNX
        if backend not in ("auto", own):
            raise UsageError(
                f"{path} runs with {option('backend', own)} only, and '{backend}' was asked for; give the .pt."
            )
        if is_ensemble(path):
            raise UsageError(
                f"{path} is an ensemble of several models, which predict, submit and evaluate take; give one of its "
                "files here."
            )
        if own == OPENVINO and not (path / XML_FILE).is_file():
            raise UsageError(
                f"{path} holds no {XML_FILE}; give a folder that `{call('export', format=OPENVINO)}` made."
            )
        return _open_openvino(path, device, imgsz, count) if own == OPENVINO else _open_onnx(path, device, imgsz, count)
    check_file(path)  # before torch is imported, which takes seconds
    if backend == "auto":
        backend = _fastest(device)
    if backend == TORCH:
        return _open_torch(path, device, imgsz, count)
    _need(backend, making=True)
    return _open_converted(path, backend, device, imgsz, count)


def _open_converted(path: Path, backend: str, device: str, imgsz: int | None, threads: int) -> Network:
    """Open the conversion of a checkpoint. It is made again if the kept conversion is damaged, or belongs to another
    checkpoint."""
    from cytoyolo.detector.export import converted

    opener = _open_onnx if backend == ONNX else _open_openvino
    with converted(path, backend) as stored:
        try:
            network = opener(stored, device, imgsz, threads, path)
            if network.facts.sha256 == fingerprint(path):
                return network
        except UsageError:
            raise
        except CytoyoloError:
            pass
    with converted(path, backend, anew=True) as stored:
        try:
            return opener(stored, device, imgsz, threads, path)
        except UsageError:
            raise
        except CytoyoloError as error:  # its sentence names the converted file, which the user never gave
            raise CytoyoloError(
                f"{path} can't be run by {backend} on this machine; give {option('backend', TORCH)}."
            ) from error


def _fastest(device: str) -> str:
    """Return the installed backend that runs a checkpoint fastest on this device."""
    if device != "cpu":
        from cytoyolo.detector.engine import choose_device

        if choose_device(device) != "cpu":
            return TORCH
    return next((one for one in (ONNX, OPENVINO) if installed(one, making=True)), TORCH)


def installed(backend: str, making: bool = True) -> bool:
    """Tell whether a backend's packages are installed. With `making`, also the packages that convert a checkpoint for
    it."""
    return all(find_spec(name) for name in (*_RUNS[backend], *(_MAKES[backend] if making else ())))


def _need(backend: str, making: bool = False) -> None:
    if not installed(backend, making):
        raise UsageError(f"the {backend} backend is not installed; pip install 'cytoyolo[{backend}]'.")


def _side(path: Path, imgsz: int | None, facts: ModelInfo) -> int:
    side = imgsz or facts.imgsz
    if side is None or side % facts.stride:
        what = "does not say the side of its images" if side is None else f"can't take images of {side} px"
        raise UsageError(f"{path} {what}; give {option('imgsz')}, a multiple of {facts.stride}.")
    if side > MAX_SIDE:
        raise UsageError(f"{path} can't take images of {side:,} px; give {option('imgsz')}, at most {MAX_SIDE:,}.")
    return side


def _open_torch(path: Path, device: str, imgsz: int | None, threads: int) -> Network:
    from cytoyolo.detector.engine import choose_device, torch_threads
    from cytoyolo.detector.weights import load_network

    network, facts = load_network(path)
    threads = torch_threads(threads)
    side, chosen = _side(path, imgsz, facts), choose_device(device)
    import torch
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.utils.torch_utils import select_device

    model = AutoBackend(
        network.float(), device=select_device(chosen, verbose=False), fuse=True, end2end=False, verbose=False
    )
    model.eval()
    alone = threading.Lock()  # the head keeps its anchors from call to call

    def run(pixels: Pixels) -> NDArray[np.float32]:
        with alone, torch.inference_mode():
            torch.set_num_threads(threads)  # of the whole process, so another detector may have changed it
            found = model(torch.from_numpy(pixels).to(model.device))
            return np.asarray((found[0] if isinstance(found, list | tuple) else found).cpu().numpy())

    # A second call gets its images ready while the first one is at work.
    return Network(run, facts, side, TORCH, chosen, 2, _BATCH_CPU if chosen == "cpu" else _BATCH_GPU)


def _open_onnx(path: Path, device: str, imgsz: int | None, threads: int, given: Path | None = None) -> Network:
    """Open an ONNX file; `given` is the checkpoint that it was converted from, which the user knows."""
    _need(ONNX)
    import onnxruntime

    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    chosen = ("0" if gpu else "cpu") if device == "auto" else device
    if chosen != "cpu" and not (gpu and chosen.isdecimal()):
        raise UsageError("device", device, f"this ONNX Runtime has {'cpu, 0' if gpu else 'cpu'} only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    providers: list[Any] = ["CPUExecutionProvider"]
    if chosen != "cpu":
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(chosen)}))
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # a dozen types of its own, all of them about the file
        what, remedy = name_onnx(path)
        raise CytoyoloError(f"{path} {what}; {remedy}.") from error
    if chosen != "cpu" and "CUDAExecutionProvider" not in session.get_providers():  # it has one, and no GPU to go with
        if device != "auto":
            raise UsageError("device", device, "ONNX Runtime can't use a GPU here; give cpu or auto")
        chosen = "cpu"
    metadata = session.get_modelmeta().custom_metadata_map
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = [one.shape for one in inputs], [one.shape for one in outputs]
    if METADATA in metadata or "names" not in metadata:
        facts, form = _checked(path, metadata.get(METADATA), *shapes), InputForm()
    else:
        facts, form = read_ultralytics(path, metadata, *shapes, inputs[0].type)
    name, wanted = inputs[0].name, [outputs[0].name]

    def run(pixels: Pixels) -> NDArray[np.float32]:
        parts = form.parts(pixels)
        found = [np.asarray(session.run(wanted, {name: part})[0], np.float32) for part in parts]
        return (found[0] if len(found) == 1 else np.concatenate(found))[: len(pixels)]

    on_cpu = chosen == "cpu"
    side = _side(given or path, imgsz, facts)
    if form.side not in (None, side):
        raise UsageError(
            f"{path} takes images of {form.side} px only; leave out {option('imgsz')}, or export it again."
        )
    return Network(run, facts, side, ONNX, chosen, threads if on_cpu else 2, 1 if on_cpu else _BATCH_GPU)


def _open_openvino(path: Path, device: str, imgsz: int | None, threads: int, given: Path | None = None) -> Network:
    """Open an OpenVINO folder; `given` is the checkpoint that it was converted from, which the user knows."""
    _need(OPENVINO)
    if device not in ("auto", "cpu"):
        raise UsageError("device", device, "the openvino backend runs on the CPU; give auto or cpu")
    _check_openvino()
    openvino = silent_openvino()
    xml, stored = path / XML_FILE, path / FACTS_FILE
    try:
        model = openvino.Core().read_model(xml)
        text = stored.read_text(encoding="utf-8") if stored.is_file() else None
        shapes = [[one.partial_shape.to_string() for one in ports] for ports in (model.inputs, model.outputs)]
        facts = _checked(path, text, *([_dimensions(shape) for shape in ports] for ports in shapes))
        side = _side(given or path, imgsz, facts)
        # One image in a call, with a fixed size. With a free size, two calls once waited for each other for ever.
        model.reshape([1, 3, side, side])
        settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
        with signal_stack_kept():
            compiled = openvino.Core().compile_model(model, "CPU", settings)
    except (RuntimeError, OSError, ValueError) as error:
        raise CytoyoloError(f"{path} is not an OpenVINO network, or is truncated; export it again.") from error
    # A request serves one call at a time. All requests are made before the first call.
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(threads):
        requests.put(compiled.create_infer_request())

    def run(pixels: Pixels) -> NDArray[np.float32]:
        request = requests.get()
        try:
            found = []
            for image in pixels:
                request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(image[None]), shared_memory=True))
                request.infer()
                found.append(np.array(request.get_output_tensor().data))
            return np.concatenate(found)
        finally:
            requests.put(request)

    return Network(run, facts, side, OPENVINO, "cpu", threads, 1)


# The process in which OpenVINO started its threads.
_openvino_process: int | None = None


def _check_openvino() -> None:
    """Refuse OpenVINO after a fork: its threads don't come along, and without them it ends the process or hangs."""
    global _openvino_process
    _openvino_process = _openvino_process or os.getpid()
    if _openvino_process != os.getpid():
        raise UsageError(
            "OpenVINO was used before this process was forked, and can't be used after a fork; start processes by the "
            f'method "spawn", open the first Detector after the fork, or give {option("backend", ONNX)}.'
        )


def silent_openvino() -> Any:
    """OpenVINO without its telemetry."""
    os.environ.setdefault("OPENVINO_TELEMETRY_DISABLE", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _dimensions(shape: str) -> list[Any]:
    """[?,3,384,384] as a list, unknown dimensions as text."""
    return [int(one) if one.strip().isdecimal() else one for one in shape.strip("[]").split(",")]


def _checked(path: Path, stored: str | None, inputs: list[list[Any]], outputs: list[list[Any]]) -> ModelInfo:
    """Return the properties of an exported network. Raises CytoyoloError if `export` did not make it."""
    if stored is None:
        raise CytoyoloError(
            f"{path} does not say what its classes are and gives no probabilities that can be relied on; "
            "make it with `cytoyolo export`."
        )
    facts = parse_model_info(stored, path)
    image = len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0][1] == 3
    answer = len(outputs) == 1 and (len(outputs[0]), *outputs[0][1:2]) == _outputs(facts)
    if not image or not answer:
        raise CytoyoloError(f"{path} is not a {KINDS[facts.task]} of {len(facts.codes)} classes; export it again.")
    fixed = {side for side in inputs[0][2:] if isinstance(side, int)}  # `export` leaves them free, except of libraries
    if fixed and not (facts.crop and fixed == {facts.crop.side}):
        raise CytoyoloError(f"{path} takes images of a fixed size only; export it again.")
    return facts
