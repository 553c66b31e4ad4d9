"""The whole slides of a prediction: how each is searched, what was found in it, and its files in the output."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from cytoyolo import console
from cytoyolo.annotations.formats.annotations import BoxRow
from cytoyolo.annotations.formats.geojson import to_feature
from cytoyolo.commands.predict_sources import Images
from cytoyolo.detector.class_thresholds import above
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.fields import calibrated
from cytoyolo.detector.journal import Journal
from cytoyolo.detector.model import Model
from cytoyolo.detector.slide_plan import Region, Search, SlidePlan, clipped, plan_slide
from cytoyolo.detector.slide_search import joined
from cytoyolo.detector.tiling import LARGEST_SCALE, LEAST_SCALE, Tiling, slide_tiling_of
from cytoyolo.errors import UsageError, either, listed, option
from cytoyolo.files import atomic_file
from cytoyolo.images.drawing import draw_points, with_legend
from cytoyolo.images.samples import White
from cytoyolo.images.slide_form import Slide, thumbnail
from cytoyolo.images.slides import open_slide
from cytoyolo.images.unusable import Unsupported, Unusable

ALL = either("--all", "whole=True")
_SHOWN = 3
_THUMBNAIL = 2048


@dataclass(frozen=True)
class Scale:
    """How large slides are shown to a network.

    `factor` is what the user gave: searched pixels for each pixel of level 0. `training` is the resolution of the
    training and `slides` the resolution of slides that do not store it, in micrometres a pixel. 0 means unknown.
    """

    factor: float = 0.0
    training: float = 0.0
    slides: float = 0.0

    def of(self, slide: Slide) -> float:
        """Return the scale of a slide, 0 if it is not known.

        Raises Unsupported if the slide states a resolution that is not searched. What the user gave was checked.
        """
        um = self.slides or slide.um_per_px
        if self.factor or not um or not self.training:
            return self.factor
        scale = um / self.training
        if not LEAST_SCALE <= scale <= LARGEST_SCALE:
            raise Unsupported(
                f"states {um:g} micrometres a pixel, which is {scale:.3g} times the training's {self.training:g}, and "
                f"{LEAST_SCALE:g} to {LARGEST_SCALE:g} times can be searched; if the file is wrong, give "
                f"{option('um_per_px')}"
            )
        return scale


def check_region(region: Region | None, whole: bool, found: Images) -> None:
    """Raise UsageError for a region that holds no pixel of any slide, and for options of slides in a call without
    slides."""
    given = [option("region")] if region is not None else []
    given += [ALL] if whole else []
    if given and not found.slides:
        raise UsageError(f"{given[0]} is for whole slides, and {found.shown} holds none; leave it out.")
    if region is None:
        return
    if len(region) != 4 or any(isinstance(one, bool) or not isinstance(one, int) for one in region):
        raise UsageError("region", region, "give four whole numbers: x, y, width, height in pixels of level 0")
    if min(region[2:]) < 1:
        raise UsageError("region", ",".join(map(str, region)), "give a width and a height of at least 1 pixel")
    _refuse_outside(region, found)


def _refuse_outside(region: Region, found: Images) -> None:
    """Raise UsageError if all slides that can be opened have no pixel of a region."""
    outside = list[str]()
    for name in found.slides:
        try:
            with open_slide(found.folder / name) as slide:
                size = slide.size
        except (Unusable, OSError):  # it is told later, with all other slides that can't be used
            continue
        try:
            clipped(region, size)
            return
        except Unusable:
            outside.append(f"{name} has {size[0]}x{size[1]} px")
    if outside:
        raise UsageError(
            "region", ",".join(map(str, region)),
            f"it lies outside of {'the slide' if len(outside) == 1 else 'all slides'} ({listed(outside, _SHOWN)}); "
            "give a part of a slide, in pixels of level 0",
        )  # fmt: skip


def slide_tiling(model: Model, found: Images) -> Tiling:
    """Return the windows of slides. Says so if there are slides, and the model divides no images."""
    tiling = slide_tiling_of(model.tiling, model.trained_on, model.imgsz)
    if found.slides and not model.tiling.tile:
        console.warn(
            f"Slides are searched in windows of {tiling.tile:,} px, the input of the network, that overlap by "
            f"{tiling.overlap:,} px. If the training's images had another size, or its cells are larger than the "
            f"overlap, give {option('tiles', 'SIZE,OVERLAP')}."
        )
    return tiling


def plan_slides(found: Images, white: White, scale: Scale, wanted: Search) -> tuple[list[SlidePlan], dict[str, str]]:
    """Decide how each slide is searched: the plans, and the problems of slides that can't be searched.

    Says how each slide is searched, and which slides have no known scale.
    """
    plans, problems, unknown = [], dict[str, str](), []
    for name in found.slides:
        path = found.folder / name
        try:
            status = path.stat()
            with open_slide(path, white) as slide:
                known = scale.of(slide)
                plan = plan_slide(slide, name, (status.st_size, status.st_mtime_ns), known or 1.0, wanted)
                _say(slide, plan, wanted)
        except Unusable as error:
            remedy = f"; give {ALL} to search all of it" if "no tissue" in str(error) else ""
            problems[name] = f"{error}{remedy}"
            continue
        except OSError as error:
            problems[name] = f"can't be read ({error.strerror})"
            continue
        plans.append(plan)
        if not known:
            unknown.append(name)
    if unknown:
        lacking = "they don't store their resolution" if scale.training else "the weights don't say their resolution"
        console.warn(
            f"Slides that are searched at level 0, because {lacking}: {len(unknown):,} ({listed(unknown, _SHOWN)}). "
            "If cells have another size in pixels there than in the images of the training, give "
            f"{option('scale')}."
        )
    return plans, problems


def _say(slide: Slide, plan: SlidePlan, wanted: Search) -> None:
    um = f", {slide.um_per_px:.3g} um a pixel" if slide.um_per_px else ", of unknown resolution"
    resized = "" if plan.factor == 1 else f" resized by {1 / plan.factor:.3g}"
    tissue = (
        "" if not wanted.tissue else " (no colours, so that no tissue is sought)" if slide.is_gray else " with tissue"
    )
    remark = f"; {slide.remark}" if slide.remark else ""
    console.note(
        f"{plan.name}: {plan.size[0]}x{plan.size[1]} px{um}; level {plan.level}{resized}, "
        f"{len(plan.windows):,} windows of {wanted.tile} px{tissue}, {plan.share:.0%} of all{remark}."
    )


def results(
    journal: Journal, plans: Mapping[str, SlidePlan], model: Model, problems: dict[str, str]
) -> Iterator[Detections]:
    """Yield the detections of each image and each slide that can be used, in their order.

    A slide with parts that can't be read is added to `problems`.
    """
    for name, parts in groupby(journal.entries(), key=lambda entry: entry[0].image):
        if name not in plans:
            yield from (calibrated(model, found) for found, _ in parts)
        elif name not in problems:
            slide = joined(plans[name], list(parts), model.iou, model.field_limit)
            if slide.problem:
                problems[name] = slide.problem
            if len(slide.unread) < len(plans[name].windows):
                yield calibrated(model, above(model.thresholds, slide.detections))


def draw_slide(place: Path, plan: SlidePlan, found: Detections, white: White) -> None:
    """Write a thumbnail of a slide with a dot for each cell, in the colour of its class, its region, and below it the
    classes with their numbers of cells."""
    with open_slide(plan.path, white) as slide:
        small = thumbnail(slide, _THUMBNAIL)
    centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2 / small.downsample
    picture = draw_points(small.picture, centres, found.class_id, len(found.codes))
    x, y, width, height = (round(value / small.downsample) for value in plan.region)
    if plan.region[2:] != plan.size:
        cv2.rectangle(picture, (x, y), (x + width, y + height), (0, 0, 0), 2)
    if len(found):
        classes, counts = np.unique(found.class_id, return_counts=True)
        texts = [f"{found.codes[index]}: {count:,}" for index, count in zip(classes, counts, strict=True)]
        picture = with_legend(picture, texts, classes.tolist(), len(found.codes))
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(place) as temporary:
        temporary.write_bytes(cv2.imencode(place.suffix, picture)[1].tobytes())


def write_geojson(place: Path, found: Detections) -> None:
    """Write the cells of a slide as GeoJSON that QuPath opens, in pixels of level 0."""
    place.parent.mkdir(parents=True, exist_ok=True)
    confidence = found.confidence.astype(np.float64).round(6).tolist()
    with atomic_file(place) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for row, ((x1, y1, x2, y2), code) in enumerate(zip(found.pixels.tolist(), found.classes, strict=True)):
            box = BoxRow(found.image, (x1, y1, x2, y2), code, confidence[row], ())
            feature = to_feature(box, "cytoyolo", int(found.class_id[row]))
            file.write(("," if row else "") + "\n" + json.dumps(feature, ensure_ascii=False))
        file.write("\n]}\n")
