"""Whole slides block by block: which windows are searched at which level, and what is found in them."""

import sys

import numpy as np
import pytest

from cytoyolo.detector import slide_plan
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.slide_plan import Search, plan_slide
from cytoyolo.detector.slide_search import joined, search_slides
from cytoyolo.detector.tiling import Tiling
from cytoyolo.images.samples import UNKNOWN
from cytoyolo.images.slides import open_slide
from cytoyolo.images.unusable import Unsupported
from tests.images.test_slides import with_offset
from tests.slides import smear, smear_with_discs, write_pyramid

pytestmark = pytest.mark.slow  # networks search whole slides

CODES = ("small", "large")
TILE, OVERLAP = 160, 60


class Discs:
    """A model that finds the dark discs of `tests.slides.smear`, whole or cut: an exact one, so that all that is wrong
    comes from the search."""

    codes, spec, label, calls, batch, imgsz, stride, max_det, white = CODES, None, "discs", 2, 3, 160, 32, 300, UNKNOWN
    tiling, trained_on, field_limit, iou, naming, calibration = Tiling(), None, sys.maxsize, 0.4, None, None
    thresholds, resolutions = None, ()

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images, most=None):
        import cv2

        found = []
        for image in images:
            self.seen.append(image.shape)
            mask = (image[..., 1] < 120).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            boxes = stats[1:, [0, 1, 0, 1]].astype(np.float32)
            boxes[:, 2:] += stats[1:, 2:4]
            boxes = boxes[stats[1:, 4] > 20]
            side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
            scores = np.stack([np.clip(0.9 - side / 200, 0, 1), np.clip(side / 100, 0, 1)], axis=1).astype(np.float32)
            found.append(of_scores(boxes, scores, CODES, size=image.shape[1::-1]))
        return found


def searched(path, scale=1.0, done=0, **wanted):
    """Search a slide with the exact model; its plan and what was found."""
    search = Search(TILE, OVERLAP, **wanted)
    with open_slide(path) as slide:
        plan = plan_slide(slide, path.name, (1, 2), scale, search)
    model = Discs()
    blocks = [(one.detections, one.more) for one in search_slides(model, [plan], done)]
    return plan, blocks, model


def cells(path, scale=1.0, **wanted) -> np.ndarray:
    plan, blocks, _ = searched(path, scale, **wanted)
    boxes = joined(plan, blocks, 0.4).detections.xyxy
    return boxes[np.lexsort(boxes.T[::-1])]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    picture, discs = smear_with_discs(6000, 3000)
    return write_pyramid(tmp_path_factory.mktemp("search") / "a.tif", picture), discs


def test_each_cell_is_found_once_where_it_is(slide):
    path, discs = slide
    found = cells(path)
    assert len(found) == len(discs)
    order = np.lexsort(discs.T[::-1])
    middle = lambda boxes: (boxes[:, :2] + boxes[:, 2:]) / 2  # noqa: E731
    nearest = np.abs(middle(found)[:, None] - middle(discs[order])[None]).max(axis=2).min(axis=1)
    assert nearest.max() <= 2


def test_only_windows_with_tissue_are_searched_unless_all_are_wanted(slide):
    path, _ = slide
    plan, _, model = searched(path)
    assert 0.3 < plan.share < 0.4 and len(model.seen) == len(plan.windows)
    whole, _, model = searched(path, tissue=False)
    assert whole.share == 1 and len(model.seen) == len(whole.windows) > 2.5 * len(plan.windows)
    np.testing.assert_array_equal(cells(path), cells(path, tissue=False))


@pytest.mark.parametrize(
    "region", [(2300, 700, 900, 800), (2000, 0, 400, 3000), (2500, 1500, 1, 1), (-50, -50, 3000, 99)]
)
def test_a_region_alone_equals_its_part_of_the_whole(slide, region):
    path, _ = slide
    found, (x, y, width, height) = cells(path), region
    middle = (found[:, :2] + found[:, 2:]) / 2
    inside = ((middle >= (x, y)) & (middle < (x + width, y + height))).all(axis=1)
    np.testing.assert_array_equal(cells(path, region=region), found[inside])


def test_a_region_reads_only_the_blocks_near_it(slide):
    path, _ = slide
    plan, _, _ = searched(path, region=(2500, 1500, 50, 50), tissue=False)
    assert len(plan.blocks) == 1 and plan.region == (2500, 1500, 50, 50)


@pytest.mark.parametrize(
    ("scale", "level", "factor"), [(1, 0, 1), (0.5, 1, 1), (0.49, 1, 1), (0.4, 1, 1.25), (1.25, 0, 0.8)]
)
def test_the_level_follows_the_scale_and_boxes_are_of_level_0(slide, scale, level, factor):
    path, discs = slide
    plan, blocks, model = searched(path, scale)
    assert plan.level == level and plan.factor == pytest.approx(factor)
    assert {shape[:2] for shape in model.seen} == {(TILE, TILE)}
    found = joined(plan, blocks, 0.4).detections
    assert len(found) == len(discs) and found.size == (6000, 3000)
    middle = lambda boxes: (boxes[:, :2] + boxes[:, 2:]) / 2  # noqa: E731
    apart = np.abs(middle(found.xyxy)[:, None] - middle(discs)[None]).max(axis=2).min(axis=1)
    assert apart.max() <= 3 / min(scale, 1)


def test_a_search_goes_on_at_any_block(slide):
    path, _ = slide
    plan, blocks, _ = searched(path)
    assert len(blocks) == len(plan.blocks) > 3
    for done in (1, len(blocks) - 1, len(blocks)):
        rest = searched(path, done=done)[1]
        assert len(rest) == len(blocks) - done
        for (one, more), (other, further) in zip(blocks[done:], rest, strict=True):
            np.testing.assert_array_equal(one.xyxy, other.xyxy)
            assert more == further


def test_unreadable_tiles_are_listed_and_the_rest_is_searched(slide, tmp_path):
    path, _ = slide
    broken = tmp_path / "a.tif"
    broken.write_bytes(path.read_bytes())
    column, row = 10, 5  # of 24 tiles of 256 px
    with_offset(broken, row * 24 + column, 20)
    plan, blocks, _ = searched(broken)
    result = joined(plan, blocks, 0.4)
    x, y = column * 256, row * 256
    assert 4 <= len(result.unread) <= 25
    unread = result.unread
    assert ((unread[:, 0] < x + 256) & (unread[:, 2] > x) & (unread[:, 1] < y + 256) & (unread[:, 3] > y)).all()
    assert f"{len(unread)} of {len(plan.windows):,} windows were not searched" in result.problem
    assert f"{unread[0, 0]},{unread[0, 1]},{TILE},{TILE}" in result.problem
    found, whole = result.detections.xyxy, cells(path)
    far = (
        (whole[:, 2] < x - TILE)
        | (whole[:, 0] > x + 256 + TILE)
        | (whole[:, 3] < y - TILE)
        | (whole[:, 1] > y + 256 + TILE)
    )
    kept = {tuple(box) for box in found.tolist()}
    assert far.any() and {tuple(box) for box in whole[far].tolist()} <= kept


def test_a_slide_of_which_nothing_can_be_read_has_no_cells(tmp_path):
    path = write_pyramid(tmp_path / "a.tif", smear(250, 200), 1)
    with_offset(path, 0, 20)
    result = joined(*searched(path)[:2], 0.4)
    assert len(result.detections) == 0 and result.problem == "has no tile that can be read"


def test_what_can_not_be_searched_has_a_reason(slide, tmp_path, monkeypatch):
    path, _ = slide
    with pytest.raises(Unsupported, match="is 6000x3000 px, and the region 6000,0,10,10 lies outside of it"):
        searched(path, region=(6000, 0, 10, 10))
    monkeypatch.setattr(slide_plan, "_MOST_WINDOWS", 100)
    with pytest.raises(Unsupported, match=r"makes 1,800 windows of 160 px that overlap by 60 px, more than 100; give"):
        searched(path)
    monkeypatch.undo()
    with pytest.raises(Unsupported, match="the region has no tissue on a thumbnail"):
        searched(path, region=(0, 0, 100, 100))
    glass = write_pyramid(tmp_path / "glass.tif", np.full((500, 4500, 3), 240, np.uint8), 2)
    with pytest.raises(Unsupported, match="has no tissue on a thumbnail"):
        searched(glass)
    assert len(cells(glass, tissue=False)) == 0


def test_a_gray_slide_is_searched_everywhere(tmp_path):
    path = write_pyramid(tmp_path / "gray.tif", smear(4500, 600)[..., 0], 2)
    assert searched(path)[0].share == 1


def test_a_slide_that_is_gone_is_a_problem_of_its_blocks(slide, tmp_path):
    path, _ = slide
    gone = tmp_path / "gone.tif"
    gone.write_bytes(path.read_bytes())
    with open_slide(gone) as opened:
        plan = plan_slide(opened, "gone.tif", (1, 2), 1.0, Search(TILE, OVERLAP))
    gone.unlink()
    results = list(search_slides(Discs(), [plan]))
    assert len(results) == len(plan.blocks) and {one.problem for one in results} == {"is missing"}


def test_memory_holds_some_blocks_and_no_slide(slide):
    """A block is at most some 2,300 pixels wide, whatever the slide."""
    path, _ = slide
    for scale in (1.0, 0.3):
        plan, _, _ = searched(path, scale, tissue=False)
        sides = (plan.blocks[:, 2:] - plan.blocks[:, :2]).max() * plan.factor
        assert sides <= max(2304, TILE * plan.factor)
