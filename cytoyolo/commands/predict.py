"""`predict`: detections, annotated pictures and the leukocyte differential of images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.commands.differential_folder import UNCERTAIN_CELLS
from cytoyolo.commands.differential_slides import SlideCounter, slides_of
from cytoyolo.commands.predict_crops import CropFolder, Crops, check_crops
from cytoyolo.commands.predict_folder import MAKER, TABLE, PredictionFolder, WrittenFolder
from cytoyolo.commands.predict_parts import PartsCall, PartsSearch, check_size, facts_on_cluster
from cytoyolo.commands.predict_settings import PartsSettings, PredictionSettings, divide_settings
from cytoyolo.commands.predict_slides import Scale, check_region, plan_slides, results, slide_tiling
from cytoyolo.commands.predict_sources import Images, find_images, refuse_nothing, refuse_table
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.inference import (
    InferenceSettings,
    box_limit,
    complete,
    data_set_of,
    least_confidence,
    open_model,
    paths_of,
    result_facts,
    weights_of,
)
from cytoyolo.detector.journal import partial_folder
from cytoyolo.detector.model import Model
from cytoyolo.detector.naming import fingerprints
from cytoyolo.detector.predict import SearchedFile
from cytoyolo.detector.resumable import ResumableCall, run_resumable
from cytoyolo.detector.slide_plan import Region, Search, SlidePlan
from cytoyolo.errors import UsageError, option
from cytoyolo.files import check_folder
from cytoyolo.machine import today
from cytoyolo.runners.opening import device_on_cluster
from cytoyolo.scoring.slide_differential import CountingFacts, Differential
from cytoyolo.spec import load_spec, plain_spec, with_shipped_flags


@dataclass(frozen=True, eq=False)
class Predicted:
    """The result of `predict`.

    Attributes
    ----------
    output : Path
        The output folder.
    images : int
        How many images were searched.
    rows : int
        How many boxes were found.
    failures : dict
        For each image that could not be used, the reason.
    warnings : dict
        For each image whose boxes may be incomplete, the reason.
    differential : DataFrame
        The leukocyte differential of all slides, one row for each class: class, name, count, share (of all cells, 0
        to 1) and leukocyte_share (of all leukocytes; NaN for a class that is not a leukocyte). By calibrated weights,
        also uncertain (how many of the cells have an uncertain class), and with `adjust_shares` adjusted_share and
        adjusted_leukocyte_share. Then the 95 % intervals of the two shares, and the flag of the class: see
        `cytoyolo.scoring.differential.differential`.
    by_slide : Differential
        The differential of each slide, and what a reader must know of it.
    crops : Crops or None
        The pictures of single cells, if they were wanted.
    """

    output: Path
    images: int
    rows: int
    failures: dict[str, str]
    warnings: dict[str, str]
    differential: pd.DataFrame
    by_slide: Differential
    crops: Crops | None = None


def predict(
    weights: str | Path | Sequence[str | Path],
    source: str | Path | Sequence[str | Path],
    *,
    output: str | Path,
    dataset: str | Path | None = None,
    probabilities: bool = False,
    pictures: bool = True,
    crops: str | Path | None = None,
    flat: bool = False,
    region: Region | None = None,
    whole: bool = False,
    overwrite: bool = False,
    report: bool = True,
    **settings: Unpack[PredictionSettings],
) -> Predicted:
    """Find the cells of images and whole slides: a folder with detections.csv, annotated pictures and the leukocyte
    differential.

    Classifiers (`classifiers`) name the boxes together with the weights, and change no box. Several weights, or views
    of each image (`tta`), are joined by weighted boxes fusion. An image that can't be used is listed in the result and
    in failures.csv, and the others go on. Images with more boxes than are kept, and images far larger than the
    network's input, are listed in warnings.csv. What is done is kept beside the output until all is done, so that the
    same call goes on after an interruption.

    Parameters
    ----------
    weights : str, Path, or several
        A checkpoint (.pt), an ONNX file or an OpenVINO folder that `export` made, or several of them.
    source : str, Path, or several
        Images, whole slides and folders of them. An image is named by its path in the folder that holds all.
    output : str or Path
        The folder to make.
    dataset : str or Path, optional
        The data set whose classes the weights must have. Its YAML, or the name of a shipped one; by default the
        description that the weights carry.
    probabilities : bool
        List the probabilities of all classes, 0 to 1, with each detection.
    pictures : bool
        Draw annotated pictures.
    crops : str or Path, optional
        Another folder to make: a picture of each cell, in a folder for each class.
    flat : bool
        Leave the sub-folders of a folder out.
    region : tuple of int, optional
        Search only this part of each whole slide: x, y, width, height in pixels of its largest size (level 0).
    whole : bool
        Search whole slides also where there is no tissue on a thumbnail.
    overwrite : bool
        Replace an output that `predict` made.
    report : bool
        Whether to write report.html: the differential, and cells of each class in pictures.
    **settings
        How the model is run: see `cytoyolo.detector.inference.InferenceSettings`. How the cells are counted: `groups`,
        `cells` and `adjust_shares` of `cytoyolo.commands.predict_settings.CountingSettings`. Where the images are
        searched: `runner`, `runner_options`, `detach` and `part_size` of `PartsSettings` there. On a cluster the
        images are searched in parts, and the output has the same bytes as the output of one machine.

    Returns
    -------
    Predicted
        What was made.

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For weights or images that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.predict("best.pt", "slides", output="found", conf=0.3, device="cpu")
    >>> made.images, len(made.failures), list(made.differential)[:5]
    (24, 0, ['class', 'name', 'count', 'share', 'leukocyte_share'])
    """
    sources, several, output = paths_of(source), weights_of(weights), Path(output)
    refuse_table(sources)
    inference, counting, where = divide_settings(settings)
    chosen = complete(inference)
    device = _use_cluster(where, chosen)
    if dataset is not None:
        load_spec(dataset)  # before long work
    found = find_images(sources, flat)
    check_region(region, whole, found)
    begun = partial_folder(output).exists()  # it may have put its output there already
    place = None if crops is None else Path(crops)
    _check_places(output, place, overwrite or begun, (*sources, *several))
    own = chosen if device is None else _for_the_caller(chosen, several)
    model = open_model(several, own)
    if counting["adjust_shares"] and model.calibration is None:
        raise UsageError(
            f"{option('adjust_shares', True)} needs one network with calibrated weights, which `cytoyolo calibrate` "
            "makes; give such weights, or leave it out."
        )
    spec = with_shipped_flags(data_set_of(model, dataset, several[0]) or plain_spec(model.codes))
    facts = {**result_facts(model, several, own, probabilities), "pictures": pictures}
    warnings = Warnings(model, box_limit(chosen), listed_from=least_confidence(chosen["conf"]))
    slides = slides_of(counting["groups"], spec, found.names, found.slides)
    adjusted_from = model.calibration if counting["adjust_shares"] else None
    counter = SlideCounter(slides, spec, model.calibration is not None, adjusted_from)
    found.say()
    tiling = slide_tiling(model, found)
    wanted = Search(tiling.tile, tiling.overlap, region, not whole)
    scale = _scale(model, chosen, found)
    plans, problems = plan_slides(found, model.white, scale, wanted)
    found.problems.update(problems)
    if not found.names and not plans:
        refuse_nothing(found)
    everyday = PredictionFolder(
        output, found.folder, found.names, model, pictures, probabilities, warnings, plans, counter, report
    )
    search = None
    if device is not None:
        size = check_size(where["part_size"], chosen["batch"], defaults.PART_SIZE)
        parts = PartsCall(
            output, several, chosen, probabilities, pictures, found.folder, found.shown, wanted, scale,
            model.white, device, size, where, overwrite,
        )  # fmt: skip
        facts = facts_on_cluster(facts, size)
        search = PartsSearch(parts, facts, found.names, plans, everyday.places).search
    call = ResumableCall(model, output, overwrite, probabilities, facts, search=search)
    cut_out = None
    if place is not None:
        cut_out = CropFolder(place, begun, found.folder, found.slides, model.white, spec, model.codes)
    counted_by = _counting_facts(model, several, chosen, counting["cells"])
    return _predict_images(call, found, plans, everyday, counted_by, cut_out)


def _use_cluster(where: PartsSettings, settings: InferenceSettings) -> str | None:
    """Return what a job on a cluster searches on, None if this machine does the work."""
    if where["runner"] == defaults.RUNNER:
        return None
    check_size(where["part_size"], settings["batch"], defaults.PART_SIZE)
    return device_on_cluster(where, settings["device"])


def _for_the_caller(settings: InferenceSettings, weights: Sequence[Path]) -> InferenceSettings:
    """Return settings that open a model quickly on a machine that searches nothing, and may have no GPU."""
    is_checkpoint = all(path.suffix.lower() == ".pt" for path in [*weights, *map(Path, settings["classifiers"])])
    backend: defaults.Backend = "torch" if is_checkpoint else settings["backend"]
    return {**settings, "device": "cpu", "backend": backend}


def _check_places(output: Path, crops: Path | None, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse outputs that can't be made."""
    check_folder(output, MAKER, overwrite, inputs)
    if crops is not None:
        check_crops(crops, output, overwrite, inputs)


def _counting_facts(model: Model, weights: Sequence[Path], settings: InferenceSettings, wanted: int) -> CountingFacts:
    """Say how cells are counted. The date is the day of today."""
    every = [*weights, *map(Path, settings["classifiers"])]
    return CountingFacts(
        model=" + ".join(path.name for path in every),
        sha256=tuple(digest for path in every for digest in fingerprints(path)),
        threshold=least_confidence(settings["conf"]),
        date=today(),
        wanted=wanted,
        uncertain_below=None if model.calibration is None else model.calibration.uncertain_below,
        by_class=model.thresholds is not None,
    )


def _scale(model: Model, settings: InferenceSettings, found: Images) -> Scale:
    """Return how large slides are shown to a model. Raises UsageError if its networks need different scales."""
    known = model.resolutions
    if found.slides and not settings["scale"] and known and max(known) > 1.01 * min(known):
        raise UsageError(
            f"the models to fuse were trained on images of different scales ({', '.join(f'{um:g}' for um in known)} "
            "micrometres a pixel), and slides are searched at the training's scale; predict with each of them, and "
            f"fuse their tables with `cytoyolo fuse`, or give {option('scale')}."
        )
    return Scale(settings["scale"] or 0.0, known[0] if known else 0.0, settings["um_per_px"] or 0.0)


def _predict_images(
    call: ResumableCall, found: Images, plans: list[SlidePlan], everyday: PredictionFolder, facts: CountingFacts,
    cut_out: CropFolder | None,
) -> Predicted:  # fmt: skip
    model, warnings = call.model, everyday.warnings
    slides = {plan.name: plan for plan in plans}

    def drawn(name: str, one: SearchedFile) -> Detections:
        if name not in slides:
            everyday.draw(name, one.image, one.detections, one.problem)
        return one.detections

    strictly = partial(_check_places, call.output, None if cut_out is None else cut_out.folder, call.overwrite)
    with run_resumable(call, found.shown, found.folder, found.names, drawn, strictly, plans) as journal:
        bad = journal.failures | found.problems
        made = everyday.write(results(journal, slides, model, bad), bad, replace(facts, date=journal.started))
        everyday.place(call.overwrite)
        crops = None if cut_out is None else cut_out.write(call.output / TABLE, call.overwrite)
    warnings.say()
    _say_uncertain(model, made)
    failures = dict(sorted(bad.items()))
    counts = made.differential
    return Predicted(call.output, made.images, made.rows, failures, warnings.of_image, counts.overall, counts, crops)


def _say_uncertain(model: Model, made: WrittenFolder) -> None:
    if model.calibration is None or not made.rows:
        return
    count, below = int(made.differential.overall["uncertain"].sum()), model.calibration.uncertain_below
    place = f" See {UNCERTAIN_CELLS}." if count else ""
    console.note(
        f"Cells of an uncertain class: {count:,} of {made.rows:,} ({count / made.rows:.1%}). The probability of their "
        f"best class is below {below:.3f}.{place}"
    )
