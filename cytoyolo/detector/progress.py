"""A training's progress as JSON lines in a file. Callbacks write the lines, and a thread shows them.

Several GPUs train in their own processes, which can't use this process's memory or terminal. A file works for them and
for a single process.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from rich.progress import Progress

from cytoyolo import console
from cytoyolo.detector.engine import engine
from cytoyolo.runners.jobs import Jobs, Policy, Runner

FILE = "progress.jsonl"
LAST_COPY, BEST_COPY = "resume.pt", "resume-best.pt"
PARENT = "CYTOYOLO_PARENT"  # environment variable with the process id of the program
_BATCH_INTERVAL_S = 0.5
_last_batch = 0.0
# The figures of an epoch that are shown, and their names: of a detector, or of a classifier.
_SHOWN = (("metrics/mAP50(B)", "mAP50"), ("metrics/accuracy", "accuracy"), ("metrics/macro_f1", "macro F1"))
# The seconds after which a message says how long the training will take.
_WATCHED_S = 10.0


def _write(trainer: Any, **event: Any) -> None:
    """Append one event. Callbacks are functions of the module, because the engine pickles them for its workers."""
    from ultralytics.utils import RANK

    if RANK <= 0:
        with (Path(trainer.save_dir).parent / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def on_pretrain_routine_start(trainer: Any) -> None:
    """Make a worker process of several GPUs as silent as this one."""
    engine()


def on_train_start(trainer: Any) -> None:
    sizes = {"epoch": trainer.start_epoch, "epochs": trainer.epochs, "batches": len(trainer.train_loader)}
    _write(trainer, event="start", **sizes, seconds=time.monotonic())


def on_train_batch_end(trainer: Any) -> None:
    global _last_batch
    _stop_orphans()
    trainer.cytoyolo_batch = getattr(trainer, "cytoyolo_batch", 0) + 1
    if time.monotonic() - _last_batch > _BATCH_INTERVAL_S:
        _last_batch = time.monotonic()
        _write(trainer, event="batch", batch=trainer.cytoyolo_batch, seconds=time.monotonic())


def _stop_orphans() -> None:
    """End a worker of several GPUs if its parent was killed. Otherwise it would train and write unseen."""
    from ultralytics.utils import RANK

    if RANK < 0:
        return
    try:
        os.kill(int(os.environ[PARENT]), 0)
    except ProcessLookupError:
        os._exit(1)


def on_fit_epoch_end(trainer: Any) -> None:
    """End of an epoch; fires once more after the last validation, which is not an epoch and is not counted."""
    if trainer.epoch < trainer.epochs and trainer.tloss is not None:
        trainer.cytoyolo_batch = 0
        # Without a validation each epoch they are zeros.
        metrics = {key: float(value) for key, value in (trainer.metrics or {}).items()} if trainer.args.val else {}
        loss = float(sum(trainer.tloss.values()))  # a detector's loss has several parts
        _write(trainer, event="epoch", epoch=trainer.epoch + 1, loss=loss, metrics=metrics, seconds=time.monotonic())


def on_model_save(trainer: Any) -> None:
    """Keep whole copies of the checkpoints. The engine overwrites its own checkpoints, and may be killed while it
    writes.

    The last checkpoint is copied last. A resumed training starts from it, and then the copy of the best checkpoint must
    exist.
    """
    if trainer.best_fitness == trainer.fitness:
        _copy_whole(trainer.best, trainer.wdir / BEST_COPY)
    _copy_whole(trainer.last, trainer.wdir / LAST_COPY)


def _copy_whole(source: Path, target: Path) -> None:
    temporary = target.with_suffix(".partial")
    temporary.write_bytes(source.read_bytes())
    temporary.replace(target)


CALLBACKS = {
    "on_pretrain_routine_start": on_pretrain_routine_start,
    "on_train_start": on_train_start,
    "on_train_batch_end": on_train_batch_end,
    "on_fit_epoch_end": on_fit_epoch_end,
    "on_model_save": on_model_save,
}


@contextmanager
def shown(path: Path) -> Iterator[None]:
    """Show the events of one training, appended to `path` from now on, as a progress bar until the block ends."""
    path.write_text("", encoding="utf-8")
    with followed({"Train": path}):
        yield


@contextmanager
def followed(paths: Mapping[str, Path]) -> Iterator[None]:
    """Show the events of trainings (by title), appended to files that may yet have to come, until the block ends."""
    with shown_meanwhile(partial(_follow, paths)):
        yield


@contextmanager
def shown_meanwhile(show: Callable[[threading.Event], None]) -> Iterator[None]:
    """Let `show` run in a thread of its own until the block ends. Its event is set at the end."""
    done = threading.Event()
    thread = threading.Thread(target=show, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run_shown(jobs: Sequence[Jobs], runner: Runner) -> None:
    """Carry out jobs side by side, and show the progress of those that train. The first that fails ends the others."""
    work = {name: one for each in jobs for name, one in each.work.items()}
    if not work:
        return
    with followed({name: path for each in jobs for name, path in each.files.items()}):
        for _ in runner.run(work, Policy()):
            pass


def _follow(paths: Mapping[str, Path], done: threading.Event) -> None:
    with console.progress("{task.fields[state]}") as progress, ExitStack() as files:
        waiting, bars = dict(paths), list[_Bar]()
        while True:
            last_round = done.is_set()
            for title, path in list(waiting.items()):
                if path.is_file():
                    bars.append(_Bar(title, progress, files.enter_context(path.open(encoding="utf-8")), len(paths) > 1))
                    del waiting[title]
            for bar in bars:
                bar.update()
            if last_round:
                return
            done.wait(0.2)


class _Bar:
    """The progress bar of one training, and the file that its events come from."""

    def __init__(self, title: str, progress: Progress, file: TextIO, titled: bool) -> None:
        self._progress, self._file, self._name = progress, file, f"{title}, " if titled else ""
        self._task = progress.add_task(title, total=None, state="")
        self._batches, self._epoch = 1, 0
        self._steps, self._epochs = 0, 0
        self._begun = 0, 0.0  # the epochs that were done when the training began, and the seconds
        self._first: tuple[int, float] | None = None
        self._is_estimated = False

    def update(self) -> None:
        """Show what has been appended."""
        for event in _complete_lines(self._file):
            done = 0
            if event["event"] == "start":
                self._batches, self._epoch, self._epochs = event["batches"], event["epoch"], event["epochs"]
                self._begun = event["epoch"], event["seconds"]
                self._steps = event["epochs"] * self._batches
                self._progress.update(self._task, total=self._steps)
            elif event["event"] == "batch":
                done = event["batch"]
                self._estimate(self._epoch * self._batches + done, event["seconds"])
            else:
                self._epoch = event["epoch"]
                figures = [f"{name} {event['metrics'][key]:.3f}" for key, name in _SHOWN if key in event["metrics"]]
                state = ", ".join([f"epoch {self._epoch} of {self._epochs}", f"loss {event['loss']:.3f}", *figures])
                self._progress.update(self._task, state=state)
                if self._progress.disable:  # a log file gets a line an epoch instead of a moving bar
                    console.note(f"{self._name}{state}{self._left(event['seconds'])}")
            self._progress.update(self._task, completed=self._epoch * self._batches + done)

    def _left(self, seconds: float) -> str:
        """Say how long the other epochs will take, by the mean time of the epochs that are done."""
        first, begun = self._begun
        left = timedelta(seconds=round((self._epochs - self._epoch) * (seconds - begun) / max(self._epoch - first, 1)))
        return f", about {left} to go" if self._epoch < self._epochs else ""

    def _estimate(self, step: int, seconds: float) -> None:
        """Say once how long the training will take, from the time of its first batches."""
        if self._first is None:  # the first batch is slower than the others
            self._first = step, seconds
        first, begun = self._first
        if self._is_estimated or seconds - begun < _WATCHED_S:
            return
        self._is_estimated = True
        left = timedelta(seconds=round((self._steps - step) * (seconds - begun) / (step - first)))
        console.note(f"{self._name}about {left} to go, by the time of {step - first} of {self._steps:,} batches")


def _complete_lines(file: TextIO) -> Iterator[dict[str, Any]]:
    """Events appended since the last call; a line still being written waits for the next.

    A training that begins anew, such as on another machine, empties its file.
    """
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(start)
            return
        yield json.loads(line)
