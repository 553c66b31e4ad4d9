"""The steps of a reproduction: what each makes, what it goes by, and how it is done here or on a cluster."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from cytoyolo import defaults
from cytoyolo.commands.audit import audit
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval import crossval, crossval_jobs
from cytoyolo.commands.crossval_begin import FoldsCall
from cytoyolo.commands.crossval_folder import MANIFEST as CV_MANIFEST
from cytoyolo.commands.crossval_folder import OOF
from cytoyolo.commands.curate import curate
from cytoyolo.commands.repair import repair
from cytoyolo.commands.reproduce_call import Call
from cytoyolo.commands.reproduce_outcome import check_models
from cytoyolo.commands.reproduce_state import Step, by_name, given_files
from cytoyolo.commands.submit import submit
from cytoyolo.commands.train import train
from cytoyolo.commands.train_folder import MANIFEST as RUN_MANIFEST
from cytoyolo.commands.train_seeds import training_job
from cytoyolo.curation.corrections import SPURIOUS_CHOICES
from cytoyolo.detector import progress
from cytoyolo.runners.jobs import Jobs
from cytoyolo.runners.opening import stage_of

# How the names of the jobs of a step begin, after the title of the call.
JOBS = {"cross-validate": "fold", "train": "train", "predict": "predict"}
# Settings that are recorded though they were not given.
_NOT_GIVEN = dict.fromkeys(("model", "epochs", "imgsz", "batch"))


def steps_of(call: Call) -> list[Step]:
    """Return the steps of a call in their order. Each step needs what the steps before it made."""
    folder, table, test = call.folder, call.labels, call.test
    repaired, parts, cv, staged = folder / "repaired.csv", folder / "folds", folder / "cv", folder / "dataset"
    run, submission = folder / "run", folder / "submission.csv"
    weights = run / "weights" / "best.pt"
    empty: dict[str, Any] = {} if call.background is None else {"background": call.background}
    known: dict[str, Any] = {"images": call.images, "dataset": call.dataset}
    placed = {**known, "groups": call.groups, "seed": call.resolved["seed"]}
    # Files count by their content, wherever they are. `force` does not change a result that exists.
    described, grouped = given_files(call.dataset), given_files(call.groups)
    learned = (*described, *given_files(call.training.get("recipe"), call.training.get("model")))
    listed, chosen = given_files(call.background), {name: by_name(value) for name, value in empty.items()}
    split = {"folds": call.folds, "seed": call.resolved["seed"], "dataset": by_name(call.dataset)}
    trained = {name: by_name(value) for name, value in {**_NOT_GIVEN, **call.training}.items()}

    def curated(spurious: defaults.SpuriousChoice) -> Path:
        return folder / f"curated-{spurious}.csv"

    def correct(spurious: defaults.SpuriousChoice) -> Callable[[bool], object]:
        def work(_: bool) -> None:
            check_models(cv, call.force)
            curate(
                repaired, oof=cv, output=curated(spurious), images=call.images, spurious=spurious, boxes=call.boxes,
                force=call.force, overwrite=True, report=call.report,
            )  # fmt: skip

        return work

    return [
        Step("audit", folder / "audit", (table, test, *described, *listed), chosen,
             lambda _: audit(table, test=test, output=folder / "audit", overwrite=True, report=call.report,
                             **known, **empty)),
        Step("repair", repaired, (table, test, *described, *listed), chosen,
             lambda _: repair(table, test=test, output=repaired, changes=folder / "repaired.changes.csv",
                              overwrite=True, **known, **empty)),
        Step("convert to folds", parts, (repaired, *grouped, *described), split,
             lambda _: convert(repaired, output=parts, folds=call.folds, overwrite=True, **placed)),
        Step("cross-validate", cv, (parts / "dataset.json", *learned), trained,
             lambda again: crossval(parts, output=cv, device=call.device, jobs=call.jobs, report=call.report,
                                    resume=_is_begun(cv / CV_MANIFEST, again), **call.training),
             partial(_fold_jobs, call, parts, cv), images=False, trained="crossval"),
        *(Step(f"curate ({choice})", curated(choice), (repaired, cv / OOF), {"boxes": call.boxes}, correct(choice),
               images=False)
          for choice in SPURIOUS_CHOICES),
        Step("convert", staged, (curated(call.spurious), *grouped, *described), {**split, "spurious": call.spurious},
             lambda _: convert(curated(call.spurious), output=staged, overwrite=True, **placed)),
        Step("train", run, (staged / "dataset.json", *learned), trained,
             partial(_train, call, staged, run), partial(_training_jobs, call, staged, run),
             images=False, trained="train"),
        Step("predict", submission, (weights, test, *described), {},
             lambda _: _submit(*_given(call, weights, submission), call.device.split(",")[0]),  # one GPU is enough
             partial(_prediction_jobs, call, weights, submission)),
    ]  # fmt: skip


def _is_begun(manifest: Path, again: bool) -> bool:
    """Tell whether a step that was interrupted had begun its folder."""
    return again and manifest.is_file()


def _fold_jobs(call: Call, dataset: Path, cv: Path, again: bool) -> AbstractContextManager[Jobs]:
    asked = FoldsCall(
        dataset, cv, images=None, folds=None, groups=None, dataset=None, config=None, um_per_px=None,
        resume=_is_begun(cv / CV_MANIFEST, again), overwrite=False, report=call.report, training=call.training,
    )  # fmt: skip
    return crossval_jobs(asked, call.title, stage_of(call.where))


def _train(call: Call, dataset: Path, run: Path, again: bool) -> None:
    """Train the final model, or go on with it."""
    if _is_begun(run / RUN_MANIFEST, again):
        train(dataset, output=run, device=call.device, resume=True, report=call.report)
    else:
        train(dataset, output=run, device=call.device, report=call.report, **call.training)


def _training_jobs(call: Call, dataset: Path, run: Path, _: bool) -> AbstractContextManager[Jobs]:
    name, stage = f"{call.title}train", stage_of(call.where)
    job = training_job(dataset, run, call.training, None, None, call.report, stage)
    return nullcontext(Jobs({name: job}, {name: run / progress.FILE}))


def _prediction_jobs(call: Call, weights: Path, submission: Path, _: bool) -> AbstractContextManager[Jobs]:
    return nullcontext(Jobs({f"{call.title}predict": partial(_submit, *_given(call, weights, submission))}, {}))


def _given(call: Call, weights: Path, submission: Path) -> tuple[Path, Path, Path, Path, str | Path]:
    # A job makes paths absolute, and a name of this package is no path.
    dataset = next(iter(given_files(call.dataset)), call.dataset)
    return weights, call.test, submission, call.images, dataset


def _submit(
    weights: Path, test: Path, submission: Path, images: Path, dataset: str | Path, device: str
) -> None:  # fmt: skip
    """Fill the rows of the test table."""
    submit(weights, test, output=submission, images=images, dataset=dataset, device=device, overwrite=True)
