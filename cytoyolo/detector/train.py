"""One training by Ultralytics in its own folder. Its settings were decided before."""

import csv
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cytoyolo.detector import progress
from cytoyolo.detector.augmentation import OWN
from cytoyolo.detector.engine import engine
from cytoyolo.detector.weights import Start, load_checkpoint
from cytoyolo.errors import CytoyoloError, either, option
from cytoyolo.workers import interrupts_remembered

# The engine's own folder inside a run. The engine empties this folder when it starts several GPUs, so nothing else may
# be in it.
FOLDER = "engine"
_SHM = Path("/dev/shm")
# What the user must do if the processes that load images fail.
FEWER_WORKERS = f"give {either('--set workers=0', 'workers=0')}, or workers: 0 in the recipe"


def checkpoint_to_resume(run: Path) -> Path | None:
    """The last whole checkpoint of an unfinished training, if it got that far."""
    path = run / FOLDER / "weights" / progress.LAST_COPY
    return path if path.is_file() else None


def epochs_done(checkpoint: Path) -> int:
    """How many epochs a checkpoint has behind it."""
    return int(load_checkpoint(checkpoint)["epoch"]) + 1


def is_complete(checkpoint: Path) -> bool:
    """Tell whether all epochs were trained, so that only the engine's last validation is missing.

    Such a checkpoint must not be resumed, because the engine would start the training from the beginning.
    """
    content = load_checkpoint(checkpoint)
    return bool(content["epoch"] + 1 >= content["train_args"]["epochs"])


def restore(checkpoint: Path) -> None:
    """Replace the engine's own checkpoints by whole copies. The checkpoints may be half written after a kill."""
    for copy, name in ((progress.LAST_COPY, "last.pt"), (progress.BEST_COPY, "best.pt")):
        if checkpoint.with_name(copy).is_file():
            shutil.copyfile(checkpoint.with_name(copy), checkpoint.with_name(name))


def fit(run: Path, data: Path, start: Start, settings: Mapping[str, Any], device: str) -> None:
    """Train in run/engine. Raises CytoyoloError when the training cannot be carried out."""
    overrides = {
        **{key: value for key, value in settings.items() if key not in OWN},
        "model": start.model,
        "pretrained": start.pretrained or True,
        "data": str(data.resolve()),
        "device": device,
        "project": str(run.resolve()),
        "name": FOLDER,
        "exist_ok": True,
        "verbose": False,
    }
    _run(run, overrides, settings)


def resume(run: Path, data: Path, checkpoint: Path, settings: Mapping[str, Any], device: str) -> None:
    """Go on with a training that was interrupted, from its last whole checkpoint.

    The engine keeps its own settings in the checkpoint. Ours are taken from the `settings` that the training began
    with.
    """
    restore(checkpoint)
    overrides = {
        "resume": str(checkpoint.resolve()),
        "data": str(data.resolve()),
        "device": device,
        "save_dir": str((run / FOLDER).resolve()),
    }
    _run(run, overrides, settings)


def close(run: Path, data: Path, checkpoint: Path, settings: Mapping[str, Any], device: str) -> None:
    """Do what the engine does after the last epoch of a training: validate, and draw the curves."""
    restore(checkpoint)
    overrides = {
        "resume": str(checkpoint.resolve()),
        "data": str(data.resolve()),
        "device": device.split(",")[0],
        "save_dir": str((run / FOLDER).resolve()),
    }
    _run(run, overrides, settings, closing=True)


def _run(run: Path, overrides: dict[str, Any], settings: Mapping[str, Any], closing: bool = False) -> None:
    engine()  # before torch, which reads how its threads wait when it is imported
    from cytoyolo.detector.trainer import ClosingTrainer, Trainer, augmented

    carry_out(run, lambda: (ClosingTrainer if closing else Trainer)(overrides=overrides), augmented(settings))


def carry_out(run: Path, trainer: Callable[[], Any], within: AbstractContextManager[None]) -> None:
    """Make a trainer of the engine and let it train, within a context, and show its progress.

    Raises CytoyoloError when the training cannot be carried out.
    """
    import matplotlib
    import torch

    os.environ[progress.PARENT] = str(os.getpid())
    others = set(threading.enumerate())
    # A class may be called "$x^$", which the plots would take for a formula.
    plain = matplotlib.rc_context({"text.parse_math": False})
    shown = progress.shown(run / progress.FILE)
    with plain, within, shown, interrupts_remembered() as raise_swallowed:
        try:
            made = trainer()
            for event, callback in progress.CALLBACKS.items():
                made.add_callback(event, callback)
            for event in ("on_train_batch_end", "on_fit_epoch_end"):
                made.add_callback(event, lambda trainer: raise_swallowed())
            made.train()
        except torch.OutOfMemoryError as error:
            raise CytoyoloError(
                f"the GPU's memory is used up; try a smaller {option('batch')} or {option('imgsz')}."
            ) from error
        except subprocess.CalledProcessError as error:
            raise CytoyoloError(
                f"a process of the training failed; see above, or try one GPU with {option('device', '0')}."
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, RuntimeError) as error:
            if problem := _worker_problem(str(error)):
                raise CytoyoloError(problem) from error
            what = str(error).strip().splitlines() or [type(error).__name__]
            raise CytoyoloError(
                f"Ultralytics can't train with this network and these settings ({what[0][:200]}); check the recipe, "
                "the network and the settings (CYTOYOLO_DEBUG=1 shows where it stopped)."
            ) from error
        finally:  # the engine draws in threads, into a folder that may go next
            for thread in set(threading.enumerate()) - others:
                if not thread.daemon:
                    thread.join()
    (run / progress.FILE).unlink()


def _worker_problem(error: str) -> str:
    """If torch reports that the processes that load images failed, say what is wrong and what to do; otherwise ""."""
    lower = error.lower()
    remedy = FEWER_WORKERS
    # A container has 64 MB of it, and a batch of 64 images of 384 pixels takes 28.
    if any(words in lower for words in ("shared memory", "bus error", "/dev/shm", "</torch_", "torch_shm_manager")):
        size = f" (/dev/shm has {shutil.disk_usage(_SHM).total / 1e6:,.0f} MB)" if _SHM.is_dir() else ""
        return f"the workers that load images are out of shared memory{size}; {remedy}, or docker run --shm-size=8g."
    if "too many open files" in lower or "ancdata" in lower:
        return f"the workers that load images have too many files open; {remedy}, or raise `ulimit -n`."
    if "dataloader worker" in lower:
        return f"a worker that loads images was ended, as when this machine's memory is used up; {remedy}."
    return ""


def metrics(run: Path) -> list[dict[str, float]]:
    """The engine's figures of each epoch, without the time column, which differs from run to run."""
    with (run / FOLDER / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [{key.strip(): float(value) for key, value in row.items() if key.strip() != "time"} for row in rows]
    # A resumed training may have repeated an epoch, if a kill came before the checkpoint of this epoch was written.
    return list({row["epoch"]: row for row in kept}.values())


def best_epoch(rows: list[dict[str, float]], figure: str = "metrics/mAP50-95(B)") -> dict[str, float]:
    """The epoch of best.pt: the epoch with the highest figure, the last such epoch if there are several."""
    return max(reversed(rows), key=lambda row: row[figure])
