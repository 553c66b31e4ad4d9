"""Find out what a file is that is not a checkpoint of a YOLO detector, and what to do. No code in the file is run."""

import io
import pickletools
import tarfile
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from cytoyolo.errors import CytoyoloError, call

_GIVE = "give weights from a source you trust, such as a run's best.pt"
_TRAIN = "train anew with cytoyolo or the package ultralytics, and give that best.pt"
_AGAIN = "download or copy it again"
_SAVE = "open it where it was made, save it there by YOLO's model.save('best.pt'), and give that file"
# Kinds of files by their first bytes (from byte `place` on), and what to do with them.
_HEADS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the weights", "fetch them with `git lfs pull`"),
    (0, b"\x89HDF", "is an HDF5 file, such as Keras weights", _TRAIN),
    (4, b"TFL3", "is a TensorFlow Lite network", "give the .pt that it was made from"),
    (0, b"GGUF", "is a GGUF file", _GIVE),
    (0, b"\x1f\x8b", "is packed with gzip", "unpack it first"),
    (0, b"BZh", "is packed with bzip2", "unpack it first"),
    (0, b"\xfd7zXZ", "is packed with xz", "unpack it first"),
    (0, b"7z\xbc\xaf", "is a 7z archive", "unpack it first"),
    (0, b"Rar!", "is a RAR archive", "unpack it first"),
    (0, b"\x93NUMPY", "is a NumPy array", _GIVE),
    (0, b"\xff\xd8\xff", "is a picture", "give the weights first, then the images"),
    (0, b"\x89PNG", "is a picture", "give the weights first, then the images"),
    (0, b"%PDF", "is a PDF", _GIVE),
)  # fmt: skip
# Programs by the packages that their checkpoints name.
_PROGRAMS = {
    "yolox": "YOLOX", "yolov6": "the YOLOv6 repository", "super_gradients": "YOLO-NAS", "mmyolo": "MMYOLO",
    "mmdet": "MMDetection", "mmengine": "MMDetection", "mmcv": "MMDetection", "detectron2": "Detectron2",
    "torchvision": "torchvision", "rfdetr": "RF-DETR", "transformers": "Transformers", "lightning": "Lightning",
    "pytorch_lightning": "Lightning", "timm": "timm", "effdet": "EfficientDet", "ppdet": "PaddleDetection",
    "paddle": "PaddlePaddle", "fastai": "fastai", "keras": "Keras",
}  # fmt: skip
_OWN = ("ultralytics", "torch", "collections", "numpy", "pathlib", "__builtin__", "builtins")
# Of Ultralytics, but no part of a network.
_PROGRAM_OBJECTS = ("ultralytics.models.", "ultralytics.engine.", "ultralytics.data.")
_BUILTIN = ("builtins.", "__builtin__.")
_HARMLESS = tuple(f"{start}{name}" for start in _BUILTIN for name in ("getattr", "set", "slice", "bytearray", "object"))
_REPOSITORY = ("models.yolo", "models.common", "models.experimental", "utils.", "models.")
_TEXT_HEAD = 4096
# What reading a damaged zip archive raises.
_DAMAGE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)


def name_bytes(path: Path) -> tuple[str, str] | None:
    """Tell from its first bytes what a file is, and what to do; None for a PyTorch, ONNX or unknown file."""
    with path.open("rb") as file:
        head = file.read(_TEXT_HEAD)
    if not head:
        return "is empty", _AGAIN
    for place, start, what, remedy in _HEADS:
        if head.startswith(start, place):
            return what, remedy
    if _is_safetensors(head, path.stat().st_size):
        return "is a safetensors file, which holds numbers without their network", _GIVE
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return (
            "is a web page saved under this name, not the file itself",
            "download it by the page's own download button",
        )
    if text.startswith(b"<?xml"):
        return (
            "is XML, such as a part of an OpenVINO network",
            f"give the folder that `{call('export', format='openvino')}` made",
        )
    if _is_text(head):
        return "is a text file", _GIVE
    if tarfile.is_tarfile(path):
        return "is a tar archive", "unpack it first"
    return None


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= size - 8


def _is_text(head: bytes) -> bool:
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head) and len(head) > 4


def check_file(path: Path) -> None:
    """Raise CytoyoloError for a file that can't be a checkpoint, or that is damaged. Torch is not imported."""
    if part := _damaged_part(path):
        raise CytoyoloError(f"{path} is damaged (the checksum of its part {part} is wrong); download or copy it again.")
    if found := _name_unfit(path):
        raise CytoyoloError(f"{path} {found[0]}; {found[1]}.")


def _damaged_part(path: Path) -> str:
    """Return the first part of a checkpoint whose checksum is wrong, "" if there is none. Torch would read wrong
    numbers without an error.

    Torch itself reports other damage, and packed parts, which it never writes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                return ""
            return (archive.testzip() or "").rpartition("/")[2]
    except _DAMAGE:
        return ""


def _name_unfit(path: Path) -> tuple[str, str] | None:
    """Tell what a file is that can't be a checkpoint, and what to do. None if only torch can tell."""
    if zipfile.is_zipfile(path):
        return _archive_kind(path)
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\x80"):  # a pickle, in PyTorch's old file format
        return None
    if head.startswith(b"PK\3\4"):
        return "is truncated", _AGAIN
    if head.startswith(b"\x08") and any(name in head for name in (b"pytorch", b"onnx", b"ultralytics", b"tf2onnx")):
        return "is an ONNX network", "to predict with it name it FILE.onnx, else give the .pt that it was made from"
    return name_bytes(path) or ("is not a PyTorch checkpoint, or is truncated", _GIVE)


def _archive_kind(path: Path) -> tuple[str, str] | None:
    """Tell what a zip archive is that is not a checkpoint, and what to do. None if it may be a checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGE:
        return "is truncated or damaged", _AGAIN
    if any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names):
        return "is a TorchScript network, which doesn't name its classes", "give the .pt that it was made from"
    if any(name.endswith("data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "is a NumPy archive", _GIVE
    return "is a zip archive", "unpack it first"


def name_unreadable(path: Path) -> tuple[str, str]:
    """Tell what a file is that can't be loaded as a checkpoint, and what to do."""
    if found := name_bytes(path) or _name_unfit(path):
        return found
    try:
        named, version = _contents(path)
    except _DAMAGE:
        return "is truncated or damaged", _AGAIN
    if not zipfile.is_zipfile(path) and any(name.startswith("ultralytics.nn.tasks.") for name in named):
        return "is a checkpoint in PyTorch's old file format", _SAVE
    return _by_globals(named, version) or (
        "holds code or objects that are not a YOLO network, or is truncated, and was not loaded", _GIVE
    )  # fmt: skip


def _contents(path: Path) -> tuple[list[str], str]:
    """Return the globals (module.name) that a checkpoint's pickle names, and its version."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _scanned(file)
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        return _scanned(io.BytesIO(archive.read(pickled)))


def _scanned(file: BinaryIO) -> tuple[list[str], str]:
    """Return the globals (module.name) of consecutive pickles, and the text after "version"."""
    found: dict[str, None] = {}
    version, before, texts = "", "", [""]
    try:
        while True:
            for operation, value, _ in pickletools.genops(file):
                if operation.name == "GLOBAL":
                    found[str(value).replace(" ", ".", 1)] = None
                elif operation.name == "STACK_GLOBAL":
                    found[".".join(texts[-2:])] = None
                elif isinstance(value, str) and "UNICODE" in operation.name:
                    version = value if before == "version" and not version else version
                    before = value
                    texts = [texts[-1], value]
    except (ValueError, EOFError):  # the end of the pickles, where numbers follow
        pass
    return list(found), version


def _by_globals(named: list[str], version: str) -> tuple[str, str] | None:
    foreign = [name for name in named if name.partition(".")[0] not in _OWN]
    if any(name.endswith(".TorchVision") for name in named):
        return "is built on a network of torchvision, which is not loaded", _TRAIN
    if any(name.startswith(_REPOSITORY) for name in foreign):
        return _repository(named), f"the package ultralytics can't read it: {_TRAIN}"
    for name in foreign:
        if program := _PROGRAMS.get(name.partition(".")[0]):
            return f"is a checkpoint of {program} ({name}), not of Ultralytics YOLO", _TRAIN
    missing = [name for name in named if name.startswith("ultralytics.") and not _exists(name)]
    if missing and not foreign:
        import ultralytics

        made = f"by Ultralytics {version}" if version else "by another release of Ultralytics"
        return (
            f"was made {made} and needs {missing[0]}, which the installed {ultralytics.__version__} doesn't have",
            "train with the installed release, or export it with the one that made it (`yolo export format=onnx`)",
        )
    if whole := [name for name in named if name.startswith(_PROGRAM_OBJECTS)]:
        return f"holds more than a network ({whole[0]}), and was not loaded", _SAVE
    if objects := foreign or [name for name in named if name.startswith(_BUILTIN) and name not in _HARMLESS]:
        return (
            f"holds code or objects that are not a YOLO network ({', '.join(objects[:3])}), and was not loaded",
            _GIVE,
        )
    return None


def _repository(named: list[str]) -> str:
    blocks = {name.rpartition(".")[2] for name in named}
    if blocks & {"RepNCSPELAN4", "ADown", "DDetect", "DualDDetect"}:
        name = "YOLOv9"
    elif blocks & {"SPPCSPC", "IDetect", "RepConv", "IKeypoint"} or "models.yolo.IDetect" in named:
        name = "YOLOv7"
    else:
        name = "YOLOv5 (or YOLOv7)" if not blocks & {"C3", "SPPF", "Focus", "BottleneckCSP"} else "YOLOv5"
    return f"is a checkpoint of the {name} repository, whose classes are stored under models.yolo"


def _exists(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(import_module(module), attribute)
    except ImportError:
        return False


def name_loaded(content: Any) -> tuple[str, str]:
    """Tell what a checkpoint is that was loaded but holds no YOLO network, and what to do."""
    import torch

    if isinstance(content, torch.nn.Module):
        return "holds a network without its checkpoint", _SAVE
    if not isinstance(content, Mapping):
        return f"holds no network but a {type(content).__name__}", _GIVE
    for inner in ("ema", "model", "state_dict", "model_state_dict", "net"):
        part = content.get(inner)
        if isinstance(part, torch.nn.Module):
            return "holds a network without its checkpoint or without the names of its classes", _SAVE
        if isinstance(part, Mapping) and _has_tensors(part):
            return _state(part, content), _TRAIN
    if _has_tensors(content):
        return _state(content, content), _TRAIN
    if "optimizer" in content or "param_groups" in content:
        return "holds an optimizer without a network", _GIVE
    return "holds no YOLO network", _GIVE


def _has_tensors(part: Mapping[Any, Any]) -> bool:
    import torch

    return any(isinstance(value, torch.Tensor) for value in part.values())


def _state(weights: Mapping[Any, Any], content: Mapping[Any, Any]) -> str:
    """Of a state_dict: the program that made it, where its names tell, and that it holds no network."""
    names, around = " ".join(map(str, weights)), set(map(str, content))
    told = {
        "MMDetection": "bbox_head." in names or ("meta" in around and "state_dict" in around),
        "Lightning": any("lightning" in one for one in around),
        "Detectron2": "__author__" in around or "backbone.bottom_up" in names or "proposal_generator" in names,
        "YOLOX": "backbone.backbone.stem" in names or "head.stems." in names,
        "torchvision": "roi_heads." in names or "backbone.body." in names,
        "RT-DETR or DETR": "class_embed" in names or "transformer.encoder" in names,
    }
    program = next((name for name, sign in told.items() if sign), None)
    of = f" of {program}" if program else ""
    return f"holds numbers{of} alone (a state_dict) and no YOLO network"


def name_onnx(path: Path) -> tuple[str, str]:
    """Tell what a file is that ONNX Runtime can't load, and what to do."""
    found = name_bytes(path)
    if found:
        return found
    if zipfile.is_zipfile(path):
        return "is a PyTorch checkpoint or an archive under another name", "name a checkpoint FILE.pt"
    return "is not an ONNX network, or is truncated", "export it again"
