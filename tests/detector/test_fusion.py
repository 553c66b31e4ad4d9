"""Weighted boxes fusion against a plain loop, by hand, and in an ensemble."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.boxes import iou
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.ensemble import Ensemble
from cytoyolo.detector.fusion import fuse
from cytoyolo.detector.predict import Detector, detect_files
from cytoyolo.detector.tiling import Tiling
from cytoyolo.detector.views import boxes_back, orientations
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.decoding import turn_picture
from cytoyolo.images.samples import UNKNOWN
from tests.properties import examples


def plain(image, xyxy, probabilities, weight, total, threshold):
    """The same, one box after the other."""
    made = []
    for one in sorted(set(image.tolist())):
        rows = np.flatnonzero(image == one)
        rows = sorted(rows, key=lambda row: -(probabilities[row].max() * weight[row]))
        clusters = []
        for row in rows:
            means = [sum(s * xyxy[m] for m, s in c) / sum(s for _, s in c) for c in clusters]
            overlaps = [float(iou(mean, xyxy[row])) for mean in means]
            member = (row, max(probabilities[row].max() * weight[row], np.finfo(float).tiny))
            if overlaps and max(overlaps) > threshold:
                clusters[overlaps.index(max(overlaps))].append(member)
            else:
                clusters.append([member])
        for cluster in clusters:
            box = sum(s * xyxy[m] for m, s in cluster) / sum(s for _, s in cluster)
            score = np.minimum(sum(weight[m] * probabilities[m] for m, _ in cluster) / total, 1)
            made.append((one, box, score))
    return sorted(made, key=lambda row: (row[0], -row[2].max()))


@examples(60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 5), st.sampled_from([0.2, 0.4, 0.55]))
def test_all_images_at_once_give_what_a_plain_loop_gives(seed, count, classes, threshold):
    random = np.random.default_rng(seed)
    image = random.integers(0, 4, count)
    corner = random.uniform(0, 60, (count, 2))
    xyxy = np.concatenate([corner, corner + random.uniform(5, 60, (count, 2))], axis=1)
    probabilities, weight = random.random((count, classes)), random.choice([0.5, 1.0, 2.0], count)
    made = fuse(image, xyxy, probabilities, weight, 4.5, threshold)
    wanted = plain(image, xyxy, probabilities, weight, 4.5, threshold)
    assert made.image.tolist() == [row[0] for row in wanted]
    np.testing.assert_allclose(made.xyxy, np.array([row[1] for row in wanted]).reshape(-1, 4), rtol=1e-9)
    np.testing.assert_allclose(made.probabilities, np.array([row[2] for row in wanted]).reshape(-1, classes), rtol=1e-9)


def test_boxes_of_two_classes_share_a_cluster_and_their_scores_add_up():
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 10, 12], [50, 50, 60, 60]], float)
    probabilities = np.array([[0.6, 0.1], [0.0, 0.4], [0.3, 0.0]])
    made = fuse(np.zeros(3, int), xyxy, probabilities, np.ones(3), 2.0)
    np.testing.assert_allclose(made.xyxy, [[0, 0, 10, 10.8], [50, 50, 60, 60]])
    np.testing.assert_allclose(made.probabilities, [[0.3, 0.25], [0.15, 0.0]])


def test_the_models_weights_count():
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 12, 10]], float)
    probabilities = np.array([[0.5, 0.0], [0.0, 0.5]])
    made = fuse(np.zeros(2, int), xyxy, probabilities, np.array([1.0, 3.0]), 4.0)
    np.testing.assert_allclose(made.xyxy, [[0, 0, 11.5, 10]])
    np.testing.assert_allclose(made.probabilities, [[0.125, 0.375]])


@pytest.fixture(scope="module")
def best(small_run):
    return small_run / "weights" / "best.pt"


def test_one_model_fused_with_itself_stays_what_it_was(best, blobs):
    alone = Ensemble([Detector(best, conf=1e-3, device="cpu")])
    twice = Ensemble([Detector(best, conf=1e-3, device="cpu") for _ in range(2)], weights=[2, 1])
    paths = sorted((blobs / "images").iterdir())[:5]
    for expected, found in zip(detect_files(alone, paths), detect_files(twice, paths), strict=True):
        assert len(expected.detections) > 0
        np.testing.assert_allclose(found.detections.xyxy, expected.detections.xyxy, atol=1e-3)
        np.testing.assert_allclose(found.detections.probabilities, expected.detections.probabilities, atol=1e-5)


class Known:
    """Finds cells of known confidence, side by side, as a `Detector` would."""

    codes, spec, label, calls, batch, imgsz, stride = ("a", "b"), None, "known", 1, 1, 64, 32
    white, tiling, trained_on, trained_imgsz, resolutions, naming = UNKNOWN, Tiling(), None, 32, (), None

    def __init__(self, shares, conf=0.25, max_det=300):
        self.conf, self.max_det = conf, max_det
        corner = np.arange(len(shares), dtype=np.float32)[:, None] * [10, 0]
        self.xyxy = np.concatenate([corner, corner + 8], axis=1).astype(np.float32)
        self.probabilities = np.stack([shares, np.zeros(len(shares))], axis=1).astype(np.float32)

    def detect(self, images, most=None, conf=None):
        found = of_scores(self.xyxy, self.probabilities, self.codes)
        kept = found.take(found.confidence >= (self.conf if conf is None else conf))
        cut = float(kept.confidence[most - 1]) if most and len(kept) > most else 0.0
        return [replace(kept.take(slice(most)), cut_confidence=cut) for _ in images]

    def keep_at_least(self, count):
        self.max_det = max(self.max_det, count)


def test_all_cells_of_a_crowded_field_are_fused():
    image = np.zeros((20, 2000, 3), np.uint8)
    shares = np.linspace(0.9, 0.5, 200)
    (found,) = Ensemble([Known(shares), Known(shares)]).detect([image])
    np.testing.assert_allclose(found.confidence, shares, rtol=1e-5)


def test_limits_of_boxes_are_of_the_members_and_of_the_fused_ones():
    image = np.zeros((20, 5000, 3), np.uint8)
    shares = np.linspace(0.9, 0.6, 400)
    members = [Known(shares), Known(shares[:10])]
    (found,) = Ensemble(members).detect([image])
    assert len(found) == 300 and found.cut_confidence == pytest.approx(shares[299])
    (found,) = Ensemble(members, max_det=50).detect([image])
    assert len(found) == 50 and found.cut_confidence == pytest.approx(shares[299])
    (found,) = Ensemble(members[1:], max_det=4).detect([image])
    assert len(found) == 4 and found.cut_confidence == pytest.approx(shares[3])
    (found,) = Ensemble(members[1:]).detect([image])
    assert len(found) == 10 and found.cut_confidence == 0
    ensemble = Ensemble(members, max_det=50)
    ensemble.keep_at_least(400)
    (found,) = ensemble.detect([image])
    assert len(found) == 400 and found.cut_confidence == 0


@pytest.mark.parametrize("conf", [1e-3, 0.1, 0.25])
def test_the_fused_confidence_does_not_depend_on_the_one_asked_for(conf):
    image = np.zeros((20, 100, 3), np.uint8)
    members = [Known([0.9, 0.30, 0.01], conf), Known([0.24, 0.24, 0.005], conf)]
    (found,) = Ensemble(members).detect([image])
    wanted = [one for one in (0.57, 0.27, 0.0075) if one > conf]
    np.testing.assert_allclose(found.confidence, wanted, rtol=1e-5)


@pytest.mark.parametrize("view", range(1, 9))
def test_a_box_of_a_view_is_turned_back(view):
    image = np.zeros((40, 70, 3), np.uint8)
    image[10:20, 5:30] = 200
    y, x = np.nonzero(turn_picture(image, view)[..., 0])
    there = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
    here = np.array([[5, 10, 30, 20]], np.float32)
    assert boxes_back(there, image, view).tolist() == here.tolist()


def test_the_eight_views_of_a_picture_all_differ():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert orientations(["hflip", "d4", "vflip"]) == (1, 2, 3, 4, 5, 6, 7, 8)
    assert len({turn_picture(image, view).tobytes() for view in orientations(["d4"])}) == 8


@pytest.mark.parametrize(("word", "view"), [("hflip", 2), ("d4", 2), ("d4", 6)])
def test_a_turned_image_gives_turned_boxes(best, blobs, word, view):
    ensemble = Ensemble([Detector(best, conf=1e-3, device="cpu")], views=[word])
    image = next(detect_files(ensemble, sorted((blobs / "images").iterdir())[:1])).image
    one, other = ensemble.detect([image]), ensemble.detect([turn_picture(image, view)])
    back = boxes_back(other[0].xyxy, image, view)
    assert len(one[0]) == len(back) > 0
    np.testing.assert_allclose(np.sort(one[0].xyxy, axis=0), np.sort(back, axis=0), atol=1e-2)


def test_classes_in_another_order_are_fused_by_name(best, blobs, tmp_path):
    import torch

    from cytoyolo.detector.weights import load_checkpoint

    content = load_checkpoint(best)
    network = content["model"]
    with torch.no_grad():
        for layer in (branch[-1] for branch in network.model[-1].cv3):
            layer.weight.copy_(layer.weight.flip(0))
            layer.bias.copy_(layer.bias.flip(0))
    network.names = ["pale", "dark"]
    torch.save({"model": network, "train_args": {"imgsz": 64}}, tmp_path / "order.pt")
    same, other = (Detector(path, conf=1e-3, device="cpu") for path in (best, tmp_path / "order.pt"))
    assert other.codes == ("pale", "dark")
    image = next(detect_files(same, sorted((blobs / "images").iterdir())[:1])).image
    wanted, found = Ensemble([same, same]).detect([image])[0], Ensemble([same, other]).detect([image])[0]
    assert len(wanted) == len(found) > 0 and found.codes == ("dark", "pale")
    np.testing.assert_allclose(wanted.probabilities, found.probabilities, atol=1e-5)


def test_wrong_ensembles(best):
    detector = Detector(best, device="cpu")
    other = Detector(best, device="cpu")
    other.codes = ("pale", "other")
    with pytest.raises(CytoyoloError, match="different classes"):
        Ensemble([detector, other])
    for wrong in (
        {"weights": [1.0, 2.0]},
        {"weights": [0.0]},
        {"weights": [float("nan")]},
        {"weights": [float("inf")]},
        {"views": ["rot90"]},
    ):
        with pytest.raises(UsageError):
            Ensemble([detector], **wrong)
