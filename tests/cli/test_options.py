"""The options of a training's and of a prediction's settings, which the command line collects in one mapping."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from cytoyolo.cli.inference import with_inference_settings
from cytoyolo.cli.training import with_training_settings
from cytoyolo.detector.inference import complete
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.errors import UsageError


@pytest.fixture
def given():
    """Call a command with these arguments; what its parameter `settings` got, or what was raised."""
    app, got = typer.Typer(), []

    def command(
        data: Annotated[str, typer.Argument()],
        jobs: Annotated[int, typer.Option("--jobs")] = 1,
        *,
        settings: TrainingSettings,
        dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
    ) -> None:
        got.append((data, jobs, dry_run, settings))

    app.command()(with_training_settings(command))

    def call(*arguments: str) -> object:
        done = CliRunner().invoke(app, list(arguments))
        if isinstance(done.exception, UsageError):
            raise done.exception
        return got[-1]

    return call


def test_settings_that_are_given_are_collected_and_no_others(given):
    assert given("x", "--dry-run") == ("x", 1, True, {})
    words = ["--recipe", "quick", "--epochs", "3", "--imgsz", "64", "--seed", "0", "--set", "mosaic=0.5", "--jobs", "2"]
    settings = {"recipe": "quick", "epochs": 3, "imgsz": 64, "seed": 0, "mosaic": 0.5}
    assert given("x", *words) == ("x", 2, False, settings)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epochs=3", "--set gives epochs; use --epochs instead."),
        ("dry_run=true", "--set gives dry_run; use --dry-run instead."),
        ("data=x", "--set gives data, which is an argument of this command; take it out."),
        ("mosaic", "--set is 'mosaic'; give KEY=VALUE, such as mixup=0.1."),
    ],
)
def test_what_is_no_further_setting_is_refused(given, assignment, words):
    with pytest.raises(UsageError) as refused:
        given("x", "--set", assignment)
    assert str(refused.value) == words


def test_the_settings_of_a_prediction_are_collected_with_their_defaults():
    app, got = typer.Typer(), []

    def command(paths: Annotated[list[str], typer.Argument()], *, settings: object, flat: bool = False) -> None:
        got.append((paths, flat, settings))

    app.command()(with_inference_settings(0.125, "300")(command))
    CliRunner().invoke(app, ["a", "b", "--flat"])
    words = ["--iou", "0.5", "--max-det", "7", "--tta", "hflip,vflip", "--model-weights", "2,1"]
    CliRunner().invoke(app, [*words, "a"])
    given = {"iou": 0.5, "max_det": 7, "tta": ["hflip", "vflip"], "model_weights": [2.0, 1.0], "classifiers": []}
    assert got == [
        (["a", "b"], True, complete({"tta": [], "classifiers": []}, 0.125)),
        (["a"], False, complete(given, 0.125)),
    ]
