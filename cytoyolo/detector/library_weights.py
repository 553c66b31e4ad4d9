"""What a library's network knows before a training: a weights file of the library, or a classifier of this tool.

Importing this module imports the engine.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cytoyolo.detector.engine import engine
from cytoyolo.detector.foreign import check_file
from cytoyolo.detector.library import TIMM, LibraryNetwork
from cytoyolo.detector.library_network import LibraryModel, build, describe, last_tensors
from cytoyolo.errors import CytoyoloError, UsageError, option

engine()

import torch  # noqa: E402

# The sides of crops that are tried if a network can't take the given side.
_SIDES = range(32, 513, 32)
# Where training programs keep the numbers of a network in a checkpoint, the averaged numbers first.
_KEPT = ("state_dict_ema", "model_ema", "state_dict", "model")
# Batch normalisation counts its steps. Older files don't have this number, which changes nothing.
_COUNTERS = "num_batches_tracked"
# How torchvision's own files name parts of a DenseNet: norm.1 for norm1.
_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def start_model(
    network: LibraryNetwork, codes: Sequence[str], settings: Mapping[str, Any], weights: Any = None
) -> LibraryModel:
    """Make the classifier of a training that starts from a network of a library.

    Parameters
    ----------
    network : LibraryNetwork
        The network.
    codes : sequence of str
        The codes of the classes, by id.
    settings : mapping
        All settings of the training. "pretrained" is a weights file of the library.
    weights : LibraryModel, optional
        A classifier of the same network, which gives what it knows. It knows classes by their codes.

    Raises
    ------
    CytoyoloError
        For a weights file of another network, and for weights of crops of another side if the network needs its own.
    """
    side = int(settings["imgsz"])
    made = build(network, len(codes), side)
    if weights is not None:
        _take_over(network, made, weights, codes, side)
    elif isinstance(pretrained := settings.get("pretrained"), str):
        _take(network, made, _state(network, Path(pretrained), side), len(codes), side, pretrained)
    if settings.get("dropout"):
        for layer in made.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = settings["dropout"]
    return LibraryModel(describe(network, len(codes), side, made), made)


def check_start(start: LibraryNetwork, classes: int, settings: Mapping[str, Any], last_batch: int) -> None:
    """Raise UsageError or CytoyoloError now if a training can't start from a library's network.

    `last_batch` is the number of crops in the smallest batch.
    """
    side = int(settings["imgsz"])
    if problem := _problem(start, classes, side):
        others = sorted((other for other in _SIDES if other != side), key=lambda other: abs(other - side))
        near = next((other for other in others if not _problem(start, classes, other)), None)
        remedy = f"give {option('imgsz', near)}" if near else "give another network"
        raise UsageError(f"{start} can't be trained on crops of {side} px ({problem}); {remedy}.")
    if last_batch == 1 and (problem := _problem(start, classes, side, crops=1)):
        raise UsageError(
            f"the last batch of an epoch has one crop of {side} px, which {start} can't learn from ({problem}); give "
            f"another {option('batch')}, or a larger {option('imgsz')}."
        )
    if settings.get("freeze"):
        raise UsageError(f"freeze counts the layers of YOLO's own networks; leave it out for {start}.")
    model = start_model(start, [str(number) for number in range(classes)], settings)
    if settings.get("dropout") and not any(isinstance(layer, torch.nn.Dropout) for layer in model.modules()):
        raise UsageError(f"{start} has no layer for dropout; leave dropout out.")


def _problem(network: LibraryNetwork, classes: int, side: int, crops: int = 2) -> str:
    """Why a network can't learn from crops of a side, "" if it can."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            answer = build(network, classes, side).train()(torch.zeros(crops, 3, side, side))
    except Exception as error:  # any type, from a library
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != (crops, classes):
        return "it does not answer with a number for each class"
    return ""


def _state(network: LibraryNetwork, path: Path, side: int) -> dict[str, Any]:
    """The tensors of a weights file, by the names and in the shapes of the network for crops of a side.

    Raises CytoyoloError if the file can't be read. Whether the tensors are the network's, the caller checks.
    """
    state = _read(path)
    if network.library == TIMM:
        return _state_of_timm(network, state, path, side)
    state = {_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
    if network.name in ("googlenet", "inception_v3"):
        state = {name: tensor for name, tensor in state.items() if not name.lower().startswith("aux")}
    if network.name.startswith("vit_") and "encoder.pos_embedding" in state and "conv_proj.weight" in state:
        from torchvision.models.vision_transformer import interpolate_embeddings  # type: ignore[import-untyped]

        state = interpolate_embeddings(side, state["conv_proj.weight"].shape[-1], state)
    return state


def _state_of_timm(network: LibraryNetwork, state: dict[str, Any], path: Path, side: int) -> dict[str, Any]:
    """Let timm bring the tensors of a file to the names and shapes of its network, with as many classes as the file
    has."""
    import timm

    expects = timm.get_pretrained_cfg(network.name)
    last = [expects.classifier] if isinstance(expects.classifier, str) else list(expects.classifier or ())
    classes = next((len(state[f"{name}.weight"]) for name in last if f"{name}.weight" in state), 0)
    options = {"img_size": side} if expects.fixed_input_size else {}
    overlay = {"state_dict": state, "num_classes": classes}
    try:
        with torch.random.fork_rng(devices=[]):
            filled = timm.create_model(
                network.name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=classes, **options
            )
    except Exception as error:  # any type, from a library
        raise _other_network(path, network, str(error)) from error
    return dict(filled.state_dict())


def _read(path: Path) -> dict[str, Any]:
    """The tensors of a weights file by name. Nothing stored in the file is run."""
    if not path.is_file():
        raise UsageError(f"{path}: no such weights file; check the path.")
    remedy = "give a file that holds the numbers of a network by name (a state_dict)"
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            check_file(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CytoyoloError:
        raise
    except ImportError as error:
        raise CytoyoloError(f"{path} needs safetensors, which is not installed; pip install safetensors.") from error
    except Exception as error:  # any of a dozen types, depending on what is wrong with the file
        raise CytoyoloError(
            f"{path} is damaged, or holds code or objects besides numbers, and was not loaded; {remedy}."
        ) from error
    kept = next((key for key in _KEPT if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)), None)
    part = content[kept] if kept else content
    state = {
        str(name).removeprefix("module."): tensor
        for name, tensor in (part.items() if isinstance(part, Mapping) else ())
        if isinstance(tensor, torch.Tensor)
    }
    if not state:
        raise CytoyoloError(f"{path} holds no numbers of a network by name; {remedy}.")
    return state


def _take(
    network: LibraryNetwork, made: Any, state: Mapping[str, Any], classes: int, side: int, source: object
) -> set[str]:
    """Put all tensors but the last layer's into a network. Returns the names of the last layer's tensors.

    Raises CytoyoloError if they are not exactly the network's.
    """
    last, own = last_tensors(network, made, classes, side), made.state_dict()
    given = {name: tensor for name, tensor in state.items() if name not in last}
    wrong = [name for name, tensor in given.items() if name not in own or tensor.shape != own[name].shape]
    wrong += [name for name in own if name not in given and name not in last and not name.endswith(_COUNTERS)]
    if wrong:
        raise _other_network(Path(str(source)), network, f"{len(wrong)} of {len(own)} tensors, such as {wrong[0]}")
    if unusable := [name for name, one in given.items() if one.is_floating_point() and not one.isfinite().all()]:
        raise CytoyoloError(f"{source} has weights that are not finite numbers, such as {unusable[0]}; give others.")
    with torch.no_grad():
        for name, tensor in given.items():
            own[name].copy_(tensor)
    return last


def _other_network(path: Path, network: LibraryNetwork, what: str) -> CytoyoloError:
    line = (what.strip().splitlines() or ["unknown"])[0][:200].rstrip(".:")
    return CytoyoloError(
        f"{path} does not have the weights of {network} for crops of this side ({line}); give weights of this network."
    )


def _take_over(network: LibraryNetwork, made: Any, weights: Any, codes: Sequence[str], side: int) -> None:
    """Give a network what a classifier of the same network knows. It knows classes by their codes."""
    theirs = weights.network.float().state_dict()
    last = _take(network, made, theirs, len(codes), side, getattr(weights, "pt_path", None) or network)
    places, own = {name: index for index, name in weights.names.items()}, made.state_dict()
    with torch.no_grad():
        for name in last:
            for index, code in enumerate(codes):
                if code in places:
                    own[name][index] = theirs[name][places[code]]
