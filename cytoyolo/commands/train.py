"""`train`: train one YOLO for all classes, in a run folder that records how it was made. A training can be resumed."""

from pathlib import Path
from typing import Unpack, cast

from cytoyolo import defaults
from cytoyolo.commands.several_seeds import divide_settings
from cytoyolo.commands.train_folder import read_manifest, refuse_settings
from cytoyolo.commands.train_one import Trained, classes_of, resume_one, train_one
from cytoyolo.commands.train_seeds import SeedsCall, train_seeds
from cytoyolo.detector.engine import check_device
from cytoyolo.detector.recipes import given
from cytoyolo.detector.settings import RunSettings, SeedSettings
from cytoyolo.detector.trained_on import check_um_per_px
from cytoyolo.errors import UsageError, option
from cytoyolo.runners.options import divide_runner
from cytoyolo.yolo.folder import load_dataset


def train(
    dataset: str | Path,
    *,
    output: str | Path,
    device: str = defaults.DEVICE,
    fold: int | None = None,
    um_per_px: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: bool = True,
    **settings: Unpack[RunSettings],
) -> Trained:
    """Train one YOLO on a YOLO folder, into a run folder with weights, metrics, curves, recipe and manifest.

    The same call continues a run that was interrupted. With `seeds`, a run is made for each seed, in the sub-folder
    `seedN`, and seeds.json and seeds.csv summarise their figures. Runs that are finished are kept.

    Parameters
    ----------
    dataset : str or Path
        The folder that `convert` made.
    output : str or Path
        The run folder to make.
    device : str
        "auto", "cpu", "mps", a GPU, or several GPUs ("0,1").
    fold : int, optional
        The fold to keep for validation, in a data set that was converted with folds.
    um_per_px : float, optional
        How many micrometres a pixel of the images is wide. The weights carry it, so that `predict` can scale images of
        another camera or lens.
    resume : bool
        Continue an interrupted run with its own settings.
    overwrite : bool
        Replace an existing run.
    report : bool
        Whether to write report.html, a page with curves, classes and confusion.
    **settings
        The settings of the training: see `cytoyolo.TrainingSettings`. `seeds` ("0,1,2" or [0, 1, 2]) takes the place
        of `seed`. Where the trainings of several seeds run: `runner`, `runner_options` and `detach`, see
        `cytoyolo.runners.options.RunnerSettings`. On a cluster each seed is a job.

    Returns
    -------
    Trained

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        If the training can't be carried out.

    Examples
    --------
    >>> import cytoyolo
    >>> trained = cytoyolo.train("dataset", output="run", recipe="quick", epochs=10)  # doctest: +SKIP
    >>> trained.weights  # doctest: +SKIP
    """
    check_device(device, several=True)
    check_um_per_px(um_per_px)
    where, others = divide_runner(settings)
    seeds, one_seed = divide_settings(cast(SeedSettings, others))
    run, data, own = Path(output), load_dataset(dataset), given(one_seed)
    if seeds and not resume:
        call = SeedsCall(dataset, run, seeds, device, fold, um_per_px, overwrite, report, own)
        table, first = train_seeds(call, where), run / f"seed{seeds[0]}"
        metrics = read_manifest(first)["metrics"]
        return Trained(run, first / "weights" / "best.pt", metrics, classes_of(first), table)
    if where["runner"] != defaults.RUNNER:
        raise UsageError(
            f"{option('runner')} is for the trainings of several seeds; give {option('seeds', '0,1,2')}, or leave it "
            "out."
        )
    if resume:
        more = {"fold": fold is not None, "um_per_px": um_per_px is not None, "overwrite": overwrite, "seeds": seeds}
        refuse_settings(run, dataset, [*own, *(name for name, is_given in more.items() if is_given)])
        return resume_one(run, data, device, report)
    return train_one(data, run, device, fold, um_per_px, overwrite, report, own)
