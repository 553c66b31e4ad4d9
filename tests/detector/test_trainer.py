"""What a training of a detector takes over of the classes that weights know: rows of the same code, and no others."""

import pytest

from cytoyolo.detector.engine import engine
from cytoyolo.detector.weights import find_start
from cytoyolo.errors import CytoyoloError

engine()

import torch  # noqa: E402
from ultralytics.nn.tasks import DetectionModel, PoseModel  # noqa: E402

from cytoyolo.detector.trainer import Trainer  # noqa: E402

# The last convolutions of the branches that tell classes. Networks that can do without NMS have two.
BRANCHES = {
    "yolo11n.yaml": ("cv3",),
    "yolov8n.yaml": ("cv3",),
    "yolov10n.yaml": ("cv3", "one2one_cv3"),
    "yolo26n.yaml": ("cv3", "one2one_cv3"),
}
DETECTORS = list(BRANCHES)
BRANCHES["yolo11n-pose.yaml"] = ("cv3",)


def network(codes, model="yolo11n.yaml", kind=DetectionModel):
    """Return a network whose rows of a class differ from all other rows, and from new rows."""
    made = kind(model, nc=len(codes), verbose=False)
    made.names = dict(enumerate(codes))
    with torch.no_grad():
        for convolution in rows(made, model):
            convolution.weight.normal_(std=3)
            convolution.bias.normal_(std=3)
        made.model[0].conv.weight.fill_(0.125)
    return made


def rows(made, model="yolo11n.yaml"):
    return [branch[-1] for name in BRANCHES[model] for branch in getattr(made.model[-1], name)]


def started(codes, weights, model="yolo11n.yaml"):
    """Return the network with which a training begins, and a new network."""
    trainer = Trainer.__new__(Trainer)
    trainer.data = {"nc": len(codes), "channels": 3, "names": dict(enumerate(codes))}
    trainer.args = type("Arguments", (), {})()  # none of them decides what is taken over
    made = []
    for start in (weights, None):
        torch.manual_seed(5)
        made.append(trainer.get_model(model, start, verbose=False))
    return made


def check(codes, weights, kept, model="yolo11n.yaml"):
    """The rows of the classes `kept` are those of the weights with the same code. All other rows are new rows."""
    made, new = started(codes, weights, model)
    known = list(weights.names.values())
    assert made.names == dict(enumerate(codes)) and (made.model[0].conv.weight == 0.125).all()
    convolutions = [rows(one, model) for one in (made, weights, new)]
    assert len(set(map(len, convolutions))) == 1 and len(convolutions[0]) == 3 * len(BRANCHES[model])
    for ours, theirs, fresh in zip(*convolutions, strict=True):
        for index, code in enumerate(codes):
            if code in kept:
                assert (ours.weight[index] == theirs.weight[known.index(code)]).all()
                assert ours.bias[index] == theirs.bias[known.index(code)]
            else:
                assert ours.bias[index] == fresh.bias[index]
                if ours.weight.shape == fresh.weight.shape:
                    assert (ours.weight[index] == fresh.weight[index]).all()
                else:  # the engine makes a branch of the weights' width
                    assert ours.weight[index].abs().max() <= ours.weight.shape[1] ** -0.5


@pytest.mark.parametrize("model", DETECTORS)
def test_classes_are_taken_by_their_codes(model):
    weights = network(("LY", "MO", "EO"), model)
    check(("MO", "BA", "LY"), weights, {"MO", "LY"}, model)
    check(("EO", "LY", "MO", "BA"), weights, {"EO", "LY", "MO"}, model)


@pytest.mark.parametrize("model", DETECTORS)
def test_no_class_is_taken_by_its_place(model):
    check(("PM", "MM", "M"), network(("LY", "MO", "EO"), model), set(), model)


def test_the_only_class_is_not_taken_by_its_place():
    check(("cell",), network(("person",)), set())


def test_codes_that_differ_in_case_or_space_are_different_classes():
    check(("ly", "MO", " EO"), network(("LY", "MO", "EO")), {"MO"})
    check(("LY", "ly", "Ly"), network(("ly", "LY", "lY")), {"LY", "ly"})


def test_classes_that_are_numbers_are_taken_by_their_codes():
    check(("1", "0", "7"), network(("0", "1")), {"0", "1"})
    check(("0", "1"), network(("1", "0")), {"0", "1"})


def test_a_branch_of_another_width_is_taken_over():
    codes = [f"class{number}" for number in range(90)]
    check(("LY", "class7"), network(codes), {"class7"})
    check(("class88", "CLASS3"), network(codes), {"class88"})


def test_weights_of_another_task_give_the_classes_that_they_know():
    check(("LY", "cell"), network(("cell",), "yolo11n-pose.yaml", PoseModel), {"cell"})


def test_a_training_that_goes_on_keeps_every_row():
    codes = ("LY", "MO", "EO")
    check(codes, network(codes), set(codes))


def test_a_run_of_other_settings_goes_on_with_every_row():
    """A run may have been begun with a setting of the engine that is refused now."""
    weights, trainer = network(("LY", "MO")), Trainer.__new__(Trainer)
    trainer.data = {"nc": 2, "channels": 3, "names": {0: "LY", 1: "MO"}}
    trainer.args = type("Arguments", (), {"cls_remap": False})()
    made = trainer.get_model("yolo11n.yaml", weights, verbose=False)
    assert all((ours.weight == theirs.weight).all() for ours, theirs in zip(rows(made), rows(weights), strict=True))


def test_what_is_known_is_what_a_start_says(tmp_path):
    for name, codes, known in (("a.pt", ("LY", "ly", "MO"), ("LY", "ly", "MO")), ("b.pt", ("LY", "LY"), ())):
        torch.save({"model": network(codes)}, tmp_path / name)
        assert find_start(str(tmp_path / name), asked=True).classes == known
        assert find_start(str(tmp_path / name), asked=True, task="classify").classes == ()


def test_a_fused_network_is_refused(tmp_path):
    """Most of its weights would be left out without a word, because they are no longer those of its layers."""
    torch.save({"model": network(("LY", "MO")).fuse(verbose=False)}, tmp_path / "fused.pt")
    with pytest.raises(CytoyoloError, match="was fused"):
        find_start(str(tmp_path / "fused.pt"), asked=True)
