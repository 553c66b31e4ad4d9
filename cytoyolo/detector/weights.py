"""Weight files: find them, load them without running their code, and put what a reader needs into them."""

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from cytoyolo import console
from cytoyolo.detector.calibration import Calibration, parse_calibration
from cytoyolo.detector.crops import Crop, parse_crop
from cytoyolo.detector.engine import STRIDE, engine, torch_threads
from cytoyolo.detector.engine_source import may_know_network, official_weights
from cytoyolo.detector.foreign import check_file, name_loaded, name_unreadable
from cytoyolo.detector.library import LibraryNetwork
from cytoyolo.detector.model_info import CLASSIFY, DETECT, ModelInfo, Task, check_names, parse_names
from cytoyolo.detector.seen import Seen, parse_seen
from cytoyolo.detector.trained_on import TrainedOn, parse_trained_on
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.files import atomic_file, read_bytes
from cytoyolo.images.samples import UNKNOWN, White, parse_white
from cytoyolo.machine import cores, state_folder
from cytoyolo.shipped import parse_yaml, weight_names, weights_path
from cytoyolo.spec import DataSpec, parse_spec
from cytoyolo.tables.table import fingerprint

# The key of a checkpoint under which this tool keeps its own facts.
METADATA = "cytoyolo"
# The endings of names of models for other tasks, in YOLO's own configuration files.
_TASK_SUFFIXES = ("-pose", "-seg", "-obb", "-cls")
# What of a training's settings stays in a checkpoint: everything but paths of the machine that made it.
_PATH_SETTINGS = ("data", "project", "name", "save_dir", "model", "pretrained", "resume", "cfg", "tracker", "source")


@dataclass(frozen=True)
class Start:
    """What a training starts from: a network (`model`, a YAML or .pt), and optional weights to transfer into it.

    `classes` are the codes that the weights know. A training takes over what they know of a class by its exact code.
    A classifier can start from a `network` of another library. Then `model` is the name of this network, and
    `pretrained` a weights file of the library, or `model` is a classifier of this tool around such a network. `seen`
    tells which images the weights were trained on, and `white` in which range images of more than 8 bits were shown.
    """

    model: str
    pretrained: str | None = None
    classes: tuple[str, ...] = ()
    network: LibraryNetwork | None = None
    seen: Seen = field(default_factory=Seen)
    white: White = UNKNOWN

    @property
    def name(self) -> str:
        """The name of the file of the weights or of the network."""
        return Path(self.pretrained or self.model).name


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a YOLO checkpoint as a dict with its network under "model". Nothing stored in the file is run.

    Raises UsageError when there is no such file and CytoyoloError when it is no YOLO checkpoint, is truncated, or
    would run code.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such weights file; check the path.")
    check_file(path)
    engine()
    torch_threads(cores())
    from ultralytics.nn.tasks import torch_safe_load

    import cytoyolo.detector.library_network  # noqa: F401  (so that torch loads the networks of other libraries)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle's version, about files that are refused anyway
            # Absolute: by a bare official name the engine would try to replace a damaged file by a download.
            checkpoint, _ = torch_safe_load(str(path.absolute()), safe_only=True)
    except CytoyoloError as error:  # of the network of another library
        raise CytoyoloError(f"{path} {error.sentence}.") from error
    except AttributeError as error:  # of something that is neither a dict nor a network
        raise CytoyoloError(f"{path} does not contain a YOLO network; give weights such as a run's best.pt.") from error
    except Exception as error:  # any of a dozen types, depending on what is wrong with the file
        what, remedy = name_unreadable(path)
        raise CytoyoloError(f"{path} {what}; {remedy}.") from error
    both = (checkpoint.get("ema"), checkpoint.get("model"))
    network = next((one for one in both if hasattr(one, "names") and hasattr(one, "yaml")), None)
    if network is None:
        what, remedy = name_loaded(checkpoint)
        raise CytoyoloError(f"{path} {what}; {remedy}.")
    settings = checkpoint.get("train_args")
    return {**checkpoint, "model": network, "train_args": settings if isinstance(settings, dict) else {}}


def _check_finite(network: Any, path: Path) -> None:
    """Raise CytoyoloError for a network with weights that are not numbers. A training that diverged writes such
    weights."""
    tensors = network.state_dict()
    wrong = [name for name, one in tensors.items() if one.is_floating_point() and not one.isfinite().all()]
    if wrong:
        raise CytoyoloError(
            f"{path} has weights that are not finite numbers, in {len(wrong)} of {len(tensors)} tensors, such as "
            f"{wrong[0]}: the training diverged, or the file is damaged; give other weights."
        )


def detector_codes(network: Any, path: Path) -> tuple[str, ...]:
    """The classes of a detector by id. Raises CytoyoloError for another network, or names that are no classes."""
    from ultralytics.nn.modules import Detect, RTDETRDecoder

    if getattr(network, "task", "detect") != "detect":
        raise CytoyoloError(f"{path} is a network for '{network.task}', not a detector; give a detector's weights.")
    head = network.model[-1]
    if not isinstance(head, Detect) or isinstance(head, RTDETRDecoder) or network.yaml.get("channels", 3) != 3:
        raise CytoyoloError(f"{path} is not a YOLO detector of colour images; give such a detector's weights.")
    return _codes(network, head.nc, path)


def _codes(network: Any, count: int, path: Path) -> tuple[str, ...]:
    codes = parse_names(network.names, count)
    if codes is None:
        raise CytoyoloError(f"{path} does not have {count} different names for its classes; correct the names.")
    check_names(codes, path)
    return codes


def _classifier_codes(network: Any, path: Path) -> tuple[str, ...]:
    """The classes of a classifier by id. Raises CytoyoloError for a network that takes other images, or names that are
    no classes."""
    if network.yaml.get("channels", 3) != 3:
        raise CytoyoloError(f"{path} is not a classifier of colour images; give such a classifier's weights.")
    head = network.model[-1]
    return _codes(network, head.linear.out_features if hasattr(head, "linear") else head.classes, path)


def load_network(path: Path) -> tuple[Any, ModelInfo]:
    """Return the network of the checkpoint of a detector, or of a classifier of ours, and the network's properties."""
    checkpoint = load_checkpoint(path)
    network = checkpoint["model"]
    crop = _stored_crop(checkpoint, path)
    codes, spec = (detector_codes if crop is None else _classifier_codes)(network, path), stored_spec(checkpoint)
    _check_finite(network, path)
    if spec is not None and spec.codes != codes:
        raise CytoyoloError(f"{path} has a description with other classes than its network; train again.")
    network.names = dict(enumerate(codes))  # the engine's own form, for names that were stored in another one
    side = checkpoint["train_args"].get("imgsz", 640)  # 640: Ultralytics' default
    stride = max(STRIDE, int(network.stride.max()))
    single = side if isinstance(side, int) and side > 0 else None
    white, trained_on = _stored_images(checkpoint, path)
    return network, ModelInfo(
        codes, spec, crop.side if crop else single, stride, fingerprint(path), white=white, trained_on=trained_on,
        crop=crop, calibration=_stored_calibration(checkpoint, len(codes), path),
    )  # fmt: skip


def _stored_crop(checkpoint: dict[str, Any], path: Path) -> Crop | None:
    """Return how a classifier takes cells, None for a network for another task.

    Raises CytoyoloError for a classifier of another program, which was not trained on crops of cells.
    """
    if _task_of(checkpoint["model"]) != CLASSIFY:
        return None
    try:
        crop = parse_crop(_metadata(checkpoint).get("crop"))
    except ValueError as error:
        raise CytoyoloError(f"{path} has a damaged description of its crops ({error}); train anew.") from error
    if crop is None:
        raise CytoyoloError(
            f"{path} is a network for 'classify', not a detector, and it does not say how it takes cells, as the "
            "classifiers of `cytoyolo train-classifier` do; give such a classifier, or a detector."
        )
    return crop


def _stored_calibration(checkpoint: dict[str, Any], classes: int, path: Path) -> Calibration | None:
    try:
        return parse_calibration(_metadata(checkpoint).get("calibration"), classes)
    except ValueError as error:
        raise CytoyoloError(f"{path} has a damaged calibration ({error}); calibrate the weights again.") from error


def _metadata(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return this tool's own facts, {} for a checkpoint of another program."""
    metadata = checkpoint.get(METADATA)
    return metadata if isinstance(metadata, dict) else {}


def _stored_images(checkpoint: dict[str, Any], path: Path) -> tuple[White, TrainedOn | None]:
    """Return what is known of the training's images: the range in which images of more than 8 bits were shown, and the
    sizes of images and boxes."""
    stored = _metadata(checkpoint)
    try:
        return parse_white(stored.get("white")), parse_trained_on(stored.get("trained_on"))
    except ValueError as error:
        raise CytoyoloError(f"{path} has a damaged description of its images ({error}); train anew.") from error


def trained_labels(checkpoint: dict[str, Any]) -> str | None:
    """Return the SHA-256 of the label table that this tool trained a checkpoint on, None if it is not known."""
    return _stored_text(checkpoint, "labels")


def trained_images(checkpoint: dict[str, Any]) -> str | None:
    """Return the SHA-256 of the images that this tool trained a checkpoint on, None if it is not known."""
    return _stored_text(checkpoint, "dataset")


def seen_of(checkpoint: dict[str, Any]) -> Seen:
    """Return which images this tool trained a checkpoint on, as far as it is known."""
    return parse_seen(_metadata(checkpoint))


def _stored_text(checkpoint: dict[str, Any], key: str) -> str | None:
    stored = _metadata(checkpoint).get(key)
    return stored if isinstance(stored, str) else None


def stored_spec(checkpoint: dict[str, Any]) -> DataSpec | None:
    """Return the data set that this tool trained a checkpoint for, or None for a checkpoint of another program."""
    metadata = checkpoint.get(METADATA)
    if not metadata or metadata.keys() == {"calibration"}:  # which this tool adds to weights of other programs too
        return None
    try:
        return parse_spec(metadata["spec"])
    except (ValueError, KeyError, TypeError) as error:
        raise CytoyoloError(f"the weights' description of their data set is damaged ({error}); train anew.") from error


def find_start(model: str, asked: bool, task: Task = DETECT) -> Start:
    """What to start a training of a detector or a classifier from, given a .yaml network or a .pt file.

    An official .pt that is not on this disk is downloaded only if the user `asked` for it by name. Weights of
    another task (pose, segmentation) give their backbone and neck to a detector of the same size, or their backbone to
    a classifier of the same size.
    """
    if model.lower().endswith((".yaml", ".yml")):
        is_known = task == CLASSIFY and not Path(model).is_file()
        return Start(_network_yaml(_name_for(task, model) if is_known else model, task))
    is_own = model in weight_names()
    if not is_own and not model.lower().endswith(".pt"):
        own = ", ".join(("a .pt file", *weight_names()))
        network = "yolo11n.yaml" if task == DETECT else "yolo11n-cls.yaml or torchvision:resnet18"
        raise UsageError("model", model, f"give {own}, or a network such as {network}")
    path = weights_path(model) if is_own else _find_file(model, asked)
    checkpoint = load_checkpoint(path)
    network, seen, white = checkpoint["model"], seen_of(checkpoint), _stored_images(checkpoint, path)[0]
    _refuse_torchvision(network.yaml, model)
    _check_finite(network, path)
    if network.is_fused():
        raise CytoyoloError(f"{path} was fused, which makes predictions faster and ends training; give the original.")
    classes = known_codes(network, task)
    library = _library_of(network)
    if _task_of(network) == task:
        return Start(str(path.absolute()), classes=classes, network=library, seen=seen, white=white)
    if library is not None:
        raise CytoyoloError(
            f"{model} is a classifier around the network {library}, which no detector has; give weights of a YOLO."
        )
    name = Path(str(network.yaml.get("yaml_file", ""))).name
    return Start(_network_yaml(_name_for(task, name), task), str(path.absolute()), classes, seen=seen, white=white)


def known_codes(network: Any, task: Task) -> tuple[str, ...]:
    """Return the classes by id that a network gives to a training for a task. () if its classes are of another kind, or
    have no names."""
    from ultralytics.nn.modules import Classify, Detect

    head = network.model[-1]
    if task == CLASSIFY:
        count = head.linear.out_features if isinstance(head, Classify) else getattr(head, "classes", 0)
    else:  # heads for poses and segments are detectors' too
        count = head.nc if isinstance(head, Detect) else 0
    return parse_names(network.names, count) or ()


def _task_of(network: Any) -> str:
    """What a network does. The engine notes the task of a network only when it opens the network itself."""
    from ultralytics.nn.modules import Classify

    return CLASSIFY if isinstance(network.model[-1], Classify) else str(getattr(network, "task", DETECT))


def _library_of(network: Any) -> LibraryNetwork | None:
    """The network of another library that a classifier is made of, None for the engine's own networks."""
    from cytoyolo.detector.library_network import LibraryModel, library_of

    return library_of(network.yaml) if isinstance(network, LibraryModel) else None


def _name_for(task: Task, name: str) -> str:
    """The name of the network for a task that has the backbone of the network `name`.

    Examples
    --------
    >>> _name_for("detect", "yolo11n-pose.yaml"), _name_for("classify", "yolo11n-pose.yaml")
    ('yolo11n.yaml', 'yolo11n-cls.yaml')
    """
    for suffix in _TASK_SUFFIXES:
        name = name.replace(suffix, "")
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-cls{dot}{ending}" if task == CLASSIFY else name


def check_start(model: str, asked: bool) -> None:
    """Raise what `find_start` would raise for weights that are missing or no good; nothing is downloaded."""
    try:
        find_start(model, asked=False)
    except UsageError:
        if not asked or model not in official_weights():
            raise


def _network_yaml(name: str, task: Task = DETECT) -> str:
    """Return a network's YAML: a file of the user, or one of the engine's own files by its name."""
    such = "yolo11n-cls.yaml" if task == CLASSIFY else "yolo11n.yaml"
    unknown = UsageError(
        f"{name} is not a network; give the YAML file of a network, or a name that Ultralytics knows, such as {such}."
    )
    if Path(name).is_file():  # the engine's own parser has no limit for aliases
        parse_yaml(name, read_bytes(Path(name)))
    elif not may_know_network(name):
        raise unknown
    engine()
    from ultralytics.nn.tasks import yaml_model_load

    try:
        network = yaml_model_load(name)
        if not {"backbone", "head"} <= network.keys():
            raise ValueError("neither backbone nor head")
    except Exception as error:  # a missing file, wrong YAML or a mapping without the keys of a network
        raise unknown from error
    _refuse_torchvision(network, name)
    if task == CLASSIFY and "Classify" not in map(str, network["head"][-1]):
        raise UsageError(f"{name} is not a network for 'classify'; give such a network, such as {such}.")
    return str(Path(name).absolute()) if Path(name).is_file() else name


def _refuse_torchvision(network: Mapping[str, Any], name: str) -> None:
    """Refuse a network if building it would download a part."""
    if any("TorchVision" in str(layer) for part in ("backbone", "head") for layer in network.get(part) or ()):
        raise CytoyoloError(
            f"{name} is built on a network of torchvision, which would be downloaded; give a network without one, "
            "such as yolo11n.yaml."
        )


def _find_file(model: str, asked: bool) -> Path:
    stored = state_folder() / "weights" / model
    for path in (Path(model), stored):
        if path.is_file():
            return path
    if model not in official_weights():
        raise UsageError(f"{model}: no such weights file; check the path.")
    if not asked:
        raise UsageError(
            f"this recipe starts from {model}, which is not on this machine; give {option('model', model)} to "
            f"download it from Ultralytics, {option('model', 'FILE.pt')} for weights you have, or "
            f"{option('model', f'{Path(model).stem}.yaml')} for none."
        )
    return _download(model, stored)


def _download(model: str, target: Path) -> Path:
    """Fetch official weights, which the user asked for by name; the only place that uses the network."""
    url = f"https://github.com/ultralytics/assets/releases/download/v8.4.0/{model}"
    console.note(f"Downloading {model} from {url}")
    try:
        with atomic_file(target) as temporary:
            with urlopen(url, timeout=60) as answer, temporary.open("wb") as file:
                shutil.copyfileobj(answer, file)
            load_checkpoint(temporary)
    except (OSError, HTTPException, CytoyoloError) as error:
        raise CytoyoloError(
            f"{model} could not be downloaded from {url}; copy it to this machine and give "
            f"{option('model', 'FILE.pt')}."
        ) from error
    return target


def seal(source: Path, target: Path, spec: DataSpec, facts: dict[str, Any]) -> dict[str, Any]:
    """Write a trained checkpoint with the data set's description and `facts`, and without traces of this machine.

    Dates, timings, paths and the repository of the training are left out. So the same training gives the same bytes,
    also if the engine was killed before it could remove the optimizer from the checkpoint. Returns the settings with
    which the training ended.
    """
    import torch
    from ultralytics.utils import DEFAULT_CFG_DICT

    checkpoint = load_checkpoint(source)
    network, given = checkpoint["model"], checkpoint["train_args"]
    settings = {key: given[key] for key in DEFAULT_CFG_DICT if key in given and key not in _PATH_SETTINGS}
    network.criterion = None
    network.pt_path = None  # where the start weights were
    network.requires_grad_(False)
    network.args = {key: value for key, value in dict(network.args).items() if key not in _PATH_SETTINGS}
    sealed = {
        "model": network.half(),
        "epoch": -1,
        "train_args": settings,
        "train_metrics": checkpoint["train_metrics"],
        "version": checkpoint["version"],
        "license": checkpoint["license"],
        METADATA: {"spec": spec.to_dict(), **facts},
    }
    with atomic_file(target) as temporary, temporary.open("wb") as file:
        torch.save(sealed, file)  # to an open file: given a name, torch would write it into the archive
    return settings


def write_calibrated(source: Path, target: Path, calibration: Calibration) -> None:
    """Write a checkpoint again with a calibration of its answers. Nothing else of it changes."""
    write_with_facts(source, target, {"calibration": calibration.to_dict()})


def write_with_facts(source: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint again with further facts of this tool. Nothing else of it changes."""
    import torch

    checkpoint = load_checkpoint(source)
    written = {**checkpoint, METADATA: {**_metadata(checkpoint), **facts}}
    written.pop("ema", None)  # its network is the network of the checkpoint already
    with atomic_file(target) as temporary, temporary.open("wb") as file:
        torch.save(written, file)
