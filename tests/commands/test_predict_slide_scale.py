"""The scale at which whole slides are searched, from the resolution that a slide states."""

from collections import Counter

import pytest

from cytoyolo.commands.predict_slides import Scale, plan_slides
from cytoyolo.commands.predict_sources import Images
from cytoyolo.detector.slide_plan import Search
from cytoyolo.errors import as_called, as_typed
from cytoyolo.images.samples import UNKNOWN
from tests.slides import smear, write_pyramid

FAULT = (
    "states 10 micrometres a pixel, which is 80 times the training's 0.125, and 0.02 to 50 times can be searched; "
    "if the file is wrong, give "
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A slide of a plausible resolution, and one whose resolution is far too large."""
    folder = tmp_path_factory.mktemp("scales")
    for name, um in (("good.tif", 0.25), ("wrong.tif", 10.0)):
        write_pyramid(folder / name, smear(4500, 256), 2, um=um)
    return folder


def planned(folder, scale: Scale):
    found = Images(folder, [], ["good.tif", "wrong.tif"], {}, Counter(), 0, "images")
    return plan_slides(found, UNKNOWN, scale, Search(256, 64, (0, 0, 400, 200), tissue=False))


def test_a_slide_that_states_an_impossible_resolution_is_a_failure(folder):
    plans, problems = planned(folder, Scale(training=0.125))
    assert [(plan.name, plan.scale) for plan in plans] == [("good.tif", 2.0)]
    assert as_typed(problems["wrong.tif"]) == FAULT + "--um-per-px"
    assert as_called(problems["wrong.tif"]) == FAULT + "`um_per_px`"


@pytest.mark.parametrize("scale", [Scale(factor=1.0, training=0.125), Scale(training=0.125, slides=0.125), Scale()])
def test_what_the_user_gives_stands_above_the_file(folder, scale):
    plans, problems = planned(folder, scale)
    assert not problems and [plan.scale for plan in plans] == [1.0, 1.0]
