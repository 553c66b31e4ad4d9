"""Recipes: what wins, what is refused, and what "auto" means."""

import pytest

from cytoyolo import defaults
from cytoyolo.cli.training import parse_assignments
from cytoyolo.detector import augmentation, classifier_settings
from cytoyolo.detector.classifier_settings import ClassifierSettings
from cytoyolo.detector.recipes import (
    _OWN,
    ADAPTATION,
    CLASSIFIER,
    CLASSIFIER_ADAPTATION,
    PACKAGE,
    classifier_defaults,
    load_recipe,
    resolve_optimizer,
)
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.shipped import names


def test_third_place_is_the_published_training():
    recipe = load_recipe({"recipe": "third-place"})
    published = {"model": "yolo11n.pt", "epochs": 250, "imgsz": 384, "batch": 64, "hsv_h": 0.0, "mixup": 0.0}
    assert published.items() <= recipe.items()
    assert recipe["close_mosaic"] == 10


OTHERS = [kind.recipe for kind in (CLASSIFIER, ADAPTATION, CLASSIFIER_ADAPTATION)]
DETECTORS = [name for name in names(PACKAGE) if name not in OTHERS]


@pytest.mark.parametrize("name", DETECTORS)
def test_every_shipped_recipe_is_valid(name):
    assert load_recipe({"recipe": name})["epochs"] > 0


def test_the_recipe_of_a_classifier_is_valid_and_each_kind_refuses_the_other():
    recipe = load_recipe({}, kind=CLASSIFIER)
    assert (recipe["degrees"], recipe["imgsz"]) == (180.0, 128)
    assert recipe.keys() <= ClassifierSettings.__optional_keys__
    with pytest.raises(UsageError, match="which is not a setting of a training"):
        load_recipe({"recipe": CLASSIFIER.recipe})
    for name in DETECTORS:
        with pytest.raises(CytoyoloError, match=f"{name} does not set margin"):
            load_recipe({"recipe": name}, kind=CLASSIFIER)
    for flags, words in {
        "mosaic": (1.0, "gives 'mosaic', which is not a setting of a classifier's training"),
        "margin": (7, "give a number from 0 to 4"),
        "label_smoothing": (1.5, "give a number from 0 to 1"),
        "imgsz": (100, "multiple of 32"),
        "save_period": (5, "files that a run does not keep"),
    }.items():
        value, sentence = words
        with pytest.raises(UsageError, match=sentence):
            load_recipe({flags: value}, kind=CLASSIFIER)


def test_the_recipes_of_adaptations_leave_the_network_to_the_weights():
    own = {"model": "best.pt"}
    detector = load_recipe({}, own, ADAPTATION)
    assert (detector["model"], detector["optimizer"]) == ("best.pt", "AdamW") and "imgsz" not in detector
    classifier = load_recipe({}, {**own, "imgsz": 96, "margin": 0.3}, CLASSIFIER_ADAPTATION)
    assert classifier.keys() <= ClassifierSettings.__optional_keys__
    assert resolve_optimizer(detector, 100, 5) == detector, "a rate that is named stays"
    with pytest.raises(UsageError, match="gives 'model', which this command sets itself"):
        load_recipe({"model": "other.pt"}, own, ADAPTATION)
    with pytest.raises(CytoyoloError, match="adapt does not set model, imgsz"):
        load_recipe({"recipe": "adapt"})


def test_flags_win_and_unset_flags_do_not():
    recipe = load_recipe({"recipe": "quick", "epochs": 3, "imgsz": None, "degrees": 5.0})
    assert (recipe["epochs"], recipe["imgsz"], recipe["degrees"]) == (3, 256, 5.0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"epoch": 3}, "'epoch'"),
        ({"data": "x.yaml"}, "sets itself"),
        ({"epochs": 0}, "whole number above 0"),
        ({"imgsz": "big"}, "whole number above 0"),
        ({"hsv_h": 7.0}, "hsv_h=7.0"),
        ({"degrees": "many"}, "degrees=many"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"imgsz": 32_000_000}, "at most 16384"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"optimizer": "foo"}, "optimizer=foo"),
        ({"single_cls": True}, "sets itself"),
        ({"distill_model": "yolo26x.pt"}, "sets itself"),
        ({"cfg": "mine.yaml"}, "sets itself"),
        ({"save_period": 5}, "gives 'save_period', which is for files that a run does not keep"),
        ({"save_json": True}, "files that a run does not keep"),
        ({"cache": "Disk"}, "cache=Disk, which would leave copies of the images in the data set; give cache=ram"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(flags, words):
    with pytest.raises(UsageError) as error:
        load_recipe({"recipe": "quick", **flags})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_for_files_that_are_not_kept_may_be_switched_off():
    off = {"save_period": -1, "save_json": False, "visualize": False}
    assert off.items() <= load_recipe({"recipe": "quick", **off}).items()


def test_the_third_place_is_the_recipe_unless_another_is_given():
    assert load_recipe({}) == load_recipe({"recipe": defaults.RECIPE})


def test_a_setting_that_a_command_decides_is_refused_in_a_call_and_wins_over_a_recipe():
    assert load_recipe({}, {"patience": 7})["patience"] == 7
    with pytest.raises(UsageError, match="the call gives 'patience', which this command sets itself"):
        load_recipe({"patience": 3}, {"patience": 7})


def test_every_key_of_the_typed_settings_is_a_setting_of_the_engine_or_of_our_augmentation():
    from ultralytics.utils import DEFAULT_CFG_DICT

    keys = TrainingSettings.__optional_keys__
    assert keys - {"recipe"} - set(augmentation.OWN) <= DEFAULT_CFG_DICT.keys() - _OWN
    assert not set(augmentation.OWN) & DEFAULT_CFG_DICT.keys()
    for name in DETECTORS:
        assert load_recipe({"recipe": name}).keys() <= keys


def test_every_key_of_a_classifiers_settings_is_a_setting_of_the_engine_or_ours():
    from ultralytics.utils import DEFAULT_CFG_DICT

    keys = ClassifierSettings.__optional_keys__ - {"recipe"}
    assert set(classifier_settings.OWN) <= keys
    assert keys - set(classifier_settings.OWN) <= DEFAULT_CFG_DICT.keys() - (_OWN - CLASSIFIER.given)
    assert classifier_defaults().keys() == keys


def test_a_recipe_file_of_the_user(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: yolo11n.yaml\nepochs: 2\nimgsz: 64\nbatch: 4\nseed: 0\n")
    assert load_recipe({"recipe": path, "batch": 8})["batch"] == 8


@pytest.mark.parametrize("text", ["model: [", "just words", "epochs: 3", "", "model: yolo11n.yaml", "\u0001"])
def test_an_unusable_recipe_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(CytoyoloError) as error:
        load_recipe({"recipe": path})
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["fourth-place", "missing.yaml"])
def test_an_unknown_recipe_is_a_usage_error(name):
    with pytest.raises(UsageError):
        load_recipe({"recipe": name})


def test_auto_is_what_it_was_for_the_third_place():
    settings = load_recipe({"recipe": "third-place"})
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
    settings = load_recipe({"recipe": "third-place", "nbs": 16, "batch": 16, "epochs": 100})
    assert resolve_optimizer(settings, images=2000, classes=23)["optimizer"] == "SGD"  # 125 steps an epoch, not 32
