"""Recipes: what wins, what is refused, and what "auto" means."""

import pytest

from cytoyolo.detector.recipes import PACKAGE, load_recipe, parse_assignments, resolve_optimizer
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.shipped import names


def test_third_place_is_the_published_training():
    recipe = load_recipe("third-place", {})
    published = {"model": "yolo11n.pt", "epochs": 250, "imgsz": 384, "batch": 64, "hsv_h": 0.0, "mixup": 0.0}
    assert published.items() <= recipe.items()
    assert recipe["close_mosaic"] == 10


@pytest.mark.parametrize("name", names(PACKAGE))
def test_every_shipped_recipe_is_valid(name):
    assert load_recipe(name, {})["epochs"] > 0


def test_flags_win_and_unset_flags_do_not():
    recipe = load_recipe("quick", {"epochs": 3, "imgsz": None, "degrees": 5.0})
    assert (recipe["epochs"], recipe["imgsz"], recipe["degrees"]) == (3, 256, 5.0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"epoch": 3}, "'epoch'"),
        ({"data": "x.yaml"}, "decides itself"),
        ({"epochs": 0}, "whole number above 0"),
        ({"imgsz": "big"}, "whole number above 0"),
        ({"hsv_h": 7.0}, "hsv_h=7.0"),
        ({"degrees": "many"}, "degrees=many"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"imgsz": 32_000_000}, "16384 at most"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"optimizer": "foo"}, "optimizer=foo"),
        ({"single_cls": True}, "decides itself"),
        ({"distill_model": "yolo26x.pt"}, "decides itself"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(flags, words):
    with pytest.raises(UsageError) as error:
        load_recipe("quick", flags)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_file_of_the_user(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: yolo11n.yaml\nepochs: 2\nimgsz: 64\nbatch: 4\nseed: 0\n")
    assert load_recipe(path, {"batch": 8})["batch"] == 8


@pytest.mark.parametrize("text", ["model: [", "just words", "epochs: 3", "", "model: yolo11n.yaml", "\u0001"])
def test_an_unusable_recipe_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(CytoyoloError) as error:
        load_recipe(path, {})
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["fourth-place", "missing.yaml"])
def test_an_unknown_recipe_is_a_usage_error(name):
    with pytest.raises(UsageError):
        load_recipe(name, {})


def test_auto_is_what_it_was_for_the_third_place():
    settings = load_recipe("third-place", {})
    large = resolve_optimizer(settings, images=45_996, classes=23)  # 719 steps an epoch
    assert (large["optimizer"], large["lr0"], large["warmup_bias_lr"]) == ("SGD", 0.01, 0.0)
    small = resolve_optimizer(settings, images=600, classes=5)
    assert (small["optimizer"], small["lr0"]) == ("AdamW", 0.001111)
    assert resolve_optimizer({**settings, "optimizer": "SGD", "lr0": 0.2}, 600, 5)["lr0"] == 0.2


def test_assignments_are_read_as_yaml():
    assert parse_assignments(["mixup=0.1", "cos_lr=true", "freeze=[0, 1]"]) == {
        "mixup": 0.1,
        "cos_lr": True,
        "freeze": [0, 1],
    }
    for pair in ("mixup", "=3", "mixup=", "mixup=[1"):
        with pytest.raises(UsageError):
            parse_assignments([pair])


def test_the_nominal_batch_of_a_recipe_counts():
    settings = load_recipe("third-place", {"nbs": 16, "batch": 16, "epochs": 100})
    assert resolve_optimizer(settings, images=2000, classes=23)["optimizer"] == "SGD"  # 125 steps an epoch, not 32
