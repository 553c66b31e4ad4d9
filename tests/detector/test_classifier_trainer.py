"""What the engine's trainer of a classifier is given: crops, drawn by class, and a loss."""

import random

import numpy as np
import pytest

from cytoyolo.detector.classifier_cells import Cut
from cytoyolo.detector.classifier_settings import CropChanges
from cytoyolo.detector.classifier_trainer import Crops, Figures, Loss


@pytest.fixture
def cut(tmp_path):
    """Twenty crops. Two crops are of the rare class 1. The value of a pixel tells which crop it is."""
    pixels = np.zeros((20, 32, 32, 3), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None, None]
    np.save(tmp_path / "crops.npy", pixels)
    inside = np.tile([0.0, 0.0, 32.0, 32.0], (20, 1))
    return Cut(tmp_path / "crops.npy", inside, np.repeat([0, 1], [18, 2]).astype(np.int64), 32)


def test_a_validation_sees_each_crop_as_it_is(cut):
    crops = Crops(cut, None, 0.0)
    assert len(crops) == 20
    for index in range(20):
        item = crops[index]
        assert item["cls"] == (index >= 18)
        assert item["img"].shape == (3, 32, 32) and (item["img"] * 255).round().unique().tolist() == [index]


@pytest.mark.parametrize(("balance", "share"), [(0.5, 0.25), (1.0, 0.5)])
def test_rare_classes_are_drawn_more_often(cut, balance, share):
    random.seed(0)
    crops = Crops(cut, CropChanges(), balance)
    drawn = [crops[0] for _ in range(2000)]
    assert np.mean([item["cls"] for item in drawn]) == pytest.approx(share, abs=0.04)
    for item in drawn[:50]:  # the class stays with its crop
        assert item["cls"] == (item["img"].max() * 255 >= 17.5)


def test_without_balance_the_crop_that_is_asked_for_is_changed_and_not_drawn(cut):
    crops = Crops(cut, CropChanges(fliplr=1.0), 0.0)
    assert [crops[index]["cls"] for index in range(20)] == cut.class_id.tolist()


def test_the_loss_spreads_the_target_in_a_training_only():
    import torch

    logits, classes = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    expected = {
        smoothing: torch.nn.functional.cross_entropy(logits, classes, label_smoothing=smoothing)
        for smoothing in (0.0, 0.2)
    }
    loss = Loss(0.2)
    assert loss(logits, {"cls": classes})[0] == expected[0.2] != expected[0.0]
    assert loss((logits.softmax(1), logits), {"cls": classes})[0] == expected[0.0]


def test_the_best_epoch_has_the_highest_macro_f1():
    import torch

    figures = Figures()
    figures.process([torch.tensor([0, 0, 0, 1])], [torch.tensor([[0, 1], [0, 1], [0, 1], [0, 1]])])
    results = figures.results_dict
    assert results["metrics/accuracy"] == 0.75
    assert results["fitness"] == results["metrics/macro_f1"] == pytest.approx((6 / 7 + 0) / 2)
    assert set(figures.keys) == results.keys() - {"fitness"}
