"""Images that are searched in tiles: each cell once, whole, and where it is."""

import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cytoyolo import Detector
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.ensemble import Ensemble
from cytoyolo.detector.fields import search
from cytoyolo.detector.predict import detect_files
from cytoyolo.detector.tiling import Tiling
from cytoyolo.errors import UsageError

pytestmark = pytest.mark.slow  # networks search large fields

SIDE = 40


def painted(width: int, height: int, seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A gray field with squares that don't touch, and their boxes."""
    rng = np.random.default_rng(seed)
    field, cells = np.full((height, width, 3), 114, np.uint8), []
    for x, y in (rng.random((200, 2)) * [width - side, height - side]).astype(int):
        around = field[max(y - 4, 0) : y + side + 4, max(x - 4, 0) : x + side + 4]
        if (around == 114).all():
            field[y : y + side, x : x + side] = rng.integers(180, 255)
            cells.append((x, y, x + side, y + side))
    return field, np.array(sorted(cells), float)


class Seeing:
    """Stands for a model: it finds everything bright, as a network finds cells, in the square to which it scales an
    image."""

    codes, calls, batch, max_det, iou, naming = ("cell",), 2, 3, 300, 0.4, None

    def __init__(self, tiling: Tiling, limit: int = 10**9) -> None:
        self.tiling, self.field_limit = tiling, limit
        self.seen: list[tuple[int, ...]] = []
        self.threads: set[int] = set()

    def detect(self, images, most=None):
        assert len(images) <= self.batch
        self.seen += [image.shape for image in images]
        self.threads.add(threading.get_ident())
        return [self._found(image, most or self.max_det) for image in images]

    def _found(self, image, most):
        count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 150).astype(np.uint8))
        x, y, w, h, area = stats[1:count].T.astype(np.float32)
        shares = (area / image.size + 0.5).clip(0, 1)[:, None]
        order = np.argsort(-shares[:, 0], kind="stable")
        xyxy = np.stack([x, y, x + w, y + h], axis=1)[order]
        cut = float(shares[order][most - 1, 0]) if len(xyxy) > most else 0.0
        return of_scores(xyxy[:most], shares[order][:most].astype(np.float32), self.codes, cut)


def sorted_boxes(found) -> np.ndarray:
    return found.xyxy[np.lexsort(found.xyxy.T[::-1])]


@pytest.mark.parametrize("seed", range(5))
def test_each_cell_is_found_once(seed):
    field, cells = painted(500 + 37 * seed, 421, seed)
    model = Seeing(Tiling(130, 50, 195))
    (found,) = search(model, [field])
    np.testing.assert_array_equal(sorted_boxes(found), cells)
    assert found.size == field.shape[1::-1] and set(model.seen) == {(130, 130, 3)}
    assert (np.diff(found.confidence) <= 0).all() and found.cut_confidence == 0


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.3])
def test_boxes_of_a_scaled_image_are_in_its_own_pixels(scale):
    field, cells = painted(700, 500, 7)
    model = Seeing(Tiling(round(130 * scale), round(50 * scale), 9999, scale, exact=True))
    (found,) = search(model, [field])
    away = np.abs(found.xyxy[:, None] - cells[None]).max(axis=2)
    assert len(found) == len(cells)
    assert (away.min(axis=0) <= 1 / scale + 0.5).all()
    assert model.seen[0][0] == pytest.approx(130 * scale, abs=scale / 2)


def test_what_fills_a_tile_is_no_cell():
    field, cells = painted(100, 80, 1)
    model = Seeing(Tiling(300, 50, 300, 1.0, exact=True))
    (found,) = search(model, [field])
    np.testing.assert_array_equal(sorted_boxes(found), cells)
    assert model.seen == [(300, 300, 3)]


def test_whole_images_and_fields_keep_their_order():
    images = [painted(150, 100, 0), painted(400, 300, 1), painted(100, 150, 2), painted(300, 400, 3)]
    model = Seeing(Tiling(130, 50, 195))
    found = search(model, [field for field, _ in images])
    assert model.seen[:2] == [(100, 150, 3), (150, 100, 3)]  # in one call
    for one, (_, cells) in zip(found, images, strict=True):
        np.testing.assert_array_equal(sorted_boxes(one), cells)
    assert search(model, []) == []


def test_a_field_may_have_more_boxes_than_an_image():
    field, cells = painted(900, 900, 3, side=12)
    assert len(cells) > 100
    model = Seeing(Tiling(130, 50, 195))
    model.max_det = 20  # a tile may have as many boxes as an image by default
    assert len(search(model, [field])[0]) == len(cells)
    model.field_limit = 30
    (found,) = search(model, [field])
    assert len(found) == 30 and found.cut_confidence == pytest.approx(float(found.confidence[-1]))
    model.field_limit, model.tiling = 10**9, Tiling(640, 20, 641)
    model._found = lambda image, most: Seeing._found(model, image, 15)
    (found,) = search(model, [field])
    assert found.cut_confidence > 0  # the limit of a tile was reached, so that boxes may be missing


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture(scope="module")
def mosaic(blobs, tmp_path_factory):
    """A field of 5 x 4 pictures of the data set, and their folder."""
    folder = tmp_path_factory.mktemp("mosaic")
    pictures = [cv2.imread(str(path)) for path in sorted((blobs / "images").iterdir())[:20]]
    field = np.vstack([np.hstack(pictures[row * 5 : row * 5 + 5]) for row in range(4)])
    cv2.imwrite(str(folder / "field.png"), field)
    return folder / "field.png"


def test_images_that_are_not_divided_give_the_same_boxes(weights, blobs):
    paths = sorted((blobs / "images").iterdir())
    for backend in ("onnx", "torch"):
        auto, off = (
            Detector(weights, conf=1e-3, device="cpu", backend=backend, tiles=tiles) for tiles in ("auto", "off")
        )
        assert auto.tiling.tile == 80
        for one, other in zip(detect_files(auto, paths), detect_files(off, paths), strict=True):
            assert (one.detections.xyxy == other.detections.xyxy).all()
            assert (one.detections.probabilities == other.detections.probabilities).all()


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_a_field_is_searched_as_its_tiles_are(weights, mosaic, backend):
    """A tile gives what an image of the same pixels gives, in every backend, whatever the batch."""
    detector = Detector(weights, conf=5e-3, device="cpu", backend=backend, batch=4, tiles="80,0")
    pixels = cv2.imread(str(mosaic))
    windows = detector.tiling.windows((400, 288))
    assert len(windows) == 20
    (found,) = [one.detections for one in detect_files(detector, [mosaic])]
    tiles = [pixels[y1:y2, x1:x2] for x1, y1, x2, y2 in windows.tolist()]
    corners = windows[:, [0, 1, 0, 1]]
    alone = np.concatenate([one.xyxy + corner for one, corner in zip(detector.detect(tiles), corners, strict=True)])
    assert len(found) > 0
    gaps = np.abs(found.xyxy[:, None] - alone[None]).max(axis=2).min(axis=1)
    assert (gaps < 0.05).mean() > 0.5  # the others were joined of parts
    np.testing.assert_array_equal(detector.predict(mosaic).xyxy, search(detector, [pixels])[0].xyxy)


def test_several_models_and_views_search_tiles(weights, mosaic):
    members = [Detector(weights, conf=1e-3, device="cpu") for _ in range(2)]
    ensemble = Ensemble(members, views=["hflip"], max_det=1)
    ensemble.keep_at_least(7)
    assert ensemble.tiling == members[0].tiling and ensemble.trained_on == members[0].trained_on
    (found,) = [one.detections for one in detect_files(ensemble, [mosaic])]
    assert 1 <= len(found) <= 7 and found.size == (400, 288)
    assert len(ensemble.detect([cv2.imread(str(mosaic))[:80, :80]], 3)[0]) <= 3


def test_calls_that_weights_cannot_serve_are_told(weights):
    with pytest.raises(UsageError, match="how wide a pixel"):
        Detector(weights, device="cpu", um_per_px=0.2)
    with pytest.raises(UsageError, match="no effect"):
        Detector("no weights", tiles="off", scale=2.0)
    assert SimpleNamespace(**Detector(weights, device="cpu", scale=2.0).tiling.to_dict()).scale == 2
