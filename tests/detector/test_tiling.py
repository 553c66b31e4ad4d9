"""How images are divided and scaled: for which calls and weights, and that boxes come back where they were."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.detector.model_info import ModelInfo
from cytoyolo.detector.preprocessing import FILL
from cytoyolo.detector.tiling import Tiling, check_tiling, common_tiling, parse_tiles, tiling_of
from cytoyolo.detector.trained_on import Sides, TrainedOn
from cytoyolo.errors import CytoyoloError, UsageError
from tests.properties import examples

CELLS = TrainedOn(360, 363, 370, (60, 142, 240.5), 0.1)
WEIGHTS = Path("best.pt")


def info(trained_on: TrainedOn | None) -> ModelInfo:
    return ModelInfo(("a",), None, 384, 32, "0" * 64, trained_on=trained_on)


def made(tiles="auto", scale=None, um=None, trained_on: TrainedOn | None = CELLS, imgsz: int = 384) -> Tiling:
    check_tiling(tiles, scale, um)
    return tiling_of(tiles, scale, um, info(trained_on), imgsz, WEIGHTS)


def test_tiles_are_as_large_as_the_images_of_the_training():
    tiling = made()
    assert (tiling.tile, tiling.overlap, tiling.whole) == (363, 241, 1.5 * 363)
    assert tiling.windows((544, 300)) is None
    windows = tiling.windows((545, 300))
    assert windows[0].tolist() == [0, 0, 363, 300] and windows[-1].tolist() == [545 - 363, 0, 545, 300]
    assert (np.diff(windows[:, 0]) <= 363 - 241).all()


def test_an_image_that_the_training_knew_stays_whole():
    assert made(trained_on=TrainedOn(360, 363, 640, (60, 142, 240))).windows((640, 640)) is None


def test_a_tile_is_larger_than_the_cells():
    tiling = made(trained_on=TrainedOn(360, 363, 640, (60, 142, 340)))
    assert (tiling.tile, tiling.overlap) == (454, 340)


def test_a_larger_input_of_the_network_sees_larger_tiles_at_the_same_scale():
    assert made(imgsz=768).tile == 726 and made(imgsz=768).whole == 1.5 * 726
    assert made(imgsz=192) == made()


@pytest.mark.parametrize("trained_on", [CELLS, None])
def test_off_and_unknown_weights_divide_nothing(trained_on):
    assert made("off", trained_on=trained_on).windows((9000, 9000)) is None
    assert made(trained_on=None) == Tiling()


def test_a_size_is_taken_as_it_is_given():
    assert made("640,200") == Tiling(640, 200, 640) == made((640, 200)) == made("640,200", trained_on=None)
    assert made(640) == Tiling(640, 241, 640) and made("640", trained_on=None) == Tiling(640, 320, 640)
    assert parse_tiles([640, 200]) == parse_tiles((640, 200)) == (640, 200) and parse_tiles((640,)) == (640, None)
    assert made("200") == Tiling(200, 150, 200)  # less than the cells need, so that there are not too many tiles
    assert made("640").windows((640, 300)) is None and len(made("640").windows((641, 300))) == 2


IMPOSSIBLE = [
    "",
    "big",
    "3",
    31,
    "31,4",
    "0",
    "-5",
    "100,100",
    "100,200",
    "100,-1",
    "1,2,3",
    "100.5",
    "nan",
    1.5,
    True,
    (),
    None,
]


@pytest.mark.parametrize("tiles", IMPOSSIBLE)
def test_impossible_tiles_are_a_wrong_call(tiles):
    with pytest.raises(UsageError, match="tiles"):
        check_tiling(tiles, None, None)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 51, 0.01, True])
def test_an_impossible_scale_is_a_wrong_call(scale):
    with pytest.raises(UsageError, match=r"scale=.*give a number from 0\.02 to 50"):
        check_tiling("auto", scale, None)


def test_calls_that_contradict_themselves_or_the_weights_are_told():
    with pytest.raises(UsageError, match="give one"):
        check_tiling("auto", 2.0, 0.1)
    for scale, um in ((2.0, None), (None, 0.1)):
        with pytest.raises(UsageError, match="no effect"):
            check_tiling("off", scale, um)
    with pytest.raises(UsageError, match="how wide a pixel"):
        made(um=0.2, trained_on=TrainedOn(360, 363, 370, (60, 142, 240)))
    with pytest.raises(UsageError, match="how wide a pixel"):
        made(um=0.2, trained_on=None)
    with pytest.raises(UsageError, match="check the unit"):
        made(um=200)
    with pytest.raises(UsageError, match="how large the images"):
        made(scale=2.0, trained_on=None)
    with pytest.raises(UsageError, match="um_per_px"):
        check_tiling("auto", None, 0)


def test_the_width_of_a_pixel_sets_the_scale():
    assert made(um=0.2).scale == 2 and made(um=0.05).scale == 0.5
    assert made(um=0.1) == made(scale=1)


def test_too_many_tiles_are_told_before_they_are_made():
    with pytest.raises(CytoyoloError, match=r"makes 98,029,801 tiles of 100 px"):
        made("100,99").windows((10_000, 10_000))


@given(
    st.sampled_from([0.1, 0.5, 1, 1.7, 3, 20]), st.integers(1, 900), st.integers(1, 900), st.integers(0, 2**32),
)  # fmt: skip
@examples(150)
def test_boxes_come_back_to_where_they_were(scale, width, height, seed):
    tiling = made("150,60", scale=scale)
    rng = np.random.default_rng(seed)
    windows = tiling.windows((width, height))
    window = windows[rng.integers(len(windows))]
    image = np.zeros((height, width, 3), np.uint8)
    picture = tiling.cut(image, window)
    assert max(picture.shape[:2]) >= 150 - 1 - scale / 2
    side = window[2:] - window[:2]
    corners = np.sort(rng.random((2, 2)), axis=0) * side
    seen = np.maximum(np.round(side * scale), 1) / side
    box = np.concatenate([corners * seen]).reshape(1, 4)
    back = tiling.back(box.astype(np.float32), window)
    np.testing.assert_allclose(back, (corners + window[:2]).reshape(1, 4), atol=1e-2)


def test_a_scaled_image_that_is_smaller_than_a_tile_is_filled():
    image = np.full((100, 80, 3), 9, np.uint8)
    picture = made("150", scale=0.5).cut(image, np.array([0, 0, 80, 100]))
    assert picture.shape == (150, 150, 3) and (picture[:50, :40] == 9).all()
    assert (picture[50:] == FILL).all() and (picture[:, 40:] == FILL).all()
    whole = made("150").windows((80, 100))
    assert whole is None  # without a scale it is seen as before


def test_an_area_is_averaged_when_an_image_shrinks():
    lines = np.zeros((400, 400, 3), np.uint8)
    lines[:, ::4] = 255
    picture = made("100", scale=0.25).cut(lines, np.array([0, 0, 400, 400]))
    assert picture.shape == (100, 100, 3) and (picture == 64).all()


def test_several_networks_share_their_tiles():
    one, two = Tiling(363, 240, 545), Tiling(370, 230, 555)
    assert common_tiling([one, one]) == one == common_tiling([one, Tiling()])
    assert common_tiling([one, two]) == Tiling(370, 240, 555)
    assert common_tiling([one, Tiling(640, 240, 960)]) == Tiling()
    with pytest.raises(UsageError, match="different sizes or scales"):
        common_tiling([Tiling(363, 240, 545, 2.0, True), Tiling(363, 240, 545, 1.0, True)])


def boxes(side: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tile(np.array([[0, 0, side, side / 2]], np.float32), (count, 1)), np.full(count, 0.9, np.float32)


@pytest.mark.parametrize(
    ("side", "count", "scale", "said"),
    [
        (60, 10, 1.0, "median side of 60 px, 0.42 times the training's median of 142 px"),
        (300, 10, 1.0, "median side of 300 px, 2.1 times the training's median of 142 px"),
        (72, 10, 1.0, ""),
        (280, 10, 1.0, ""),
        (60, 9, 1.0, ""),
        (60, 10, 2.0, ""),
        (142, 10, 4.0, "median side of 142 px at scale 4, 4 times"),
    ],
)
def test_cells_of_another_scale_are_told(side, count, scale, said):
    sides = Sides(CELLS, scale)
    sides.add(*boxes(side, count))
    sides.add(boxes(9999, 50)[0], np.full(50, 0.1, np.float32))  # faint boxes are no cells
    assert (said in sides.problem()) if said else not sides.problem()
    if said:
        assert f"scale={float(f'{142 / side:.2g}')!r}" in sides.problem() or "scale=1" in sides.problem()
    assert Sides(None, 1.0).problem() == ""
