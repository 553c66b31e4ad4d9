"""Non-maximum suppression: which boxes it keeps, and from which confidence on some may be missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.detector import nms as suppression
from cytoyolo.detector.nms import suppress
from tests.properties import examples


def output(confidence, copies=1):
    """A network's output (5, n): cells side by side, each found `copies` times."""
    confidence = np.repeat(np.asarray(confidence, np.float32), copies)
    x = np.repeat(np.arange(len(confidence) // copies, dtype=np.float32) * 20, copies)
    return np.stack([x, np.zeros_like(x), np.full_like(x, 8), np.full_like(x, 8), confidence])


@pytest.mark.parametrize("copies", [1, 25])
@pytest.mark.parametrize("most", [1, 7, 40])
def test_a_limit_keeps_the_best_and_tells_what_it_may_have_cut(most, copies):
    shares = np.linspace(0.9, 0.5, 40, dtype=np.float32)
    xyxy, scores, cut = suppress(output(shares, copies), 0.25, 0.4, most)
    assert scores[:, 0].tolist() == shares[:most].tolist()
    if most < 40:
        assert shares[most] <= cut <= shares[most - 1]
    else:
        assert cut == 0
    assert xyxy[0].tolist() == [-4, -4, 4, 4]


def test_exactly_as_many_as_the_limit_are_all():
    assert suppress(output(np.full(300, 0.5)), 0.25, 0.4, 300)[2] == 0
    assert suppress(output(np.full(301, 0.5)), 0.25, 0.4, 300)[2] == 0.5


def test_candidates_that_are_not_looked_at_are_told(monkeypatch):
    monkeypatch.setattr(suppression, "MAX_CANDIDATES", 50)
    crowd = np.concatenate([output([0.9], copies=49), output(np.linspace(0.5, 0.3, 100))], axis=1)
    xyxy, _, cut = suppress(crowd, 0.25, 0.4, 2)
    assert len(xyxy) == 2
    monkeypatch.setattr(suppression, "_CANDIDATES_A_BOX", 1)
    xyxy, _, cut = suppress(np.concatenate([output([0.9], copies=70), crowd[:, 49:]], axis=1), 0.25, 0.4, 3)
    assert len(xyxy) == 1 and cut == pytest.approx(0.9)


@examples(60)
@given(st.lists(st.integers(1, 99), min_size=1, max_size=120), st.integers(1, 60), st.integers(1, 4))
def test_boxes_above_the_cut_do_not_depend_on_the_limit(shares, most, copies):
    given_output = output(np.array(shares) / 100, copies)
    xyxy, scores, cut = suppress(given_output, 0.1, 0.4, most)
    whole, all_scores, none = suppress(given_output, 0.1, 0.4, 1_000)
    assert none == 0 and len(xyxy) == min(most, len(whole))
    assert (xyxy == whole[:most]).all() and (scores == all_scores[:most]).all()
    assert (len(whole) > most) <= (cut > 0)
    assert (all_scores[most:, 0] <= cut).all()
