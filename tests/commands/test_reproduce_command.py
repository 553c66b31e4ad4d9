"""The whole way in one command: what is done is skipped, what changed is done again, and a plan costs nothing."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pandas as pd
import pytest

from cytoyolo import console, reproduce
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands import reproduce as command
from cytoyolo.commands import reproduce_inputs
from cytoyolo.commands import reproduce_steps as steps
from cytoyolo.commands.curate import ANOTHER_LIMIT
from cytoyolo.commands.reproduce_call import Call
from cytoyolo.commands.reproduce_outcome import check_models, outcome
from cytoyolo.detector import train as training
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import clear_folder
from cytoyolo.locks import locked
from cytoyolo.runners.cluster import ClusterRunner
from cytoyolo.runners.ledger import read_ledger
from cytoyolo.runners.options import RUNNER
from tests.blobs import SETTINGS, SPEC, draw
from tests.browser import assert_sound
from tests.outcomes import contents

pytestmark = pytest.mark.slow  # many trainings

STEPS = [
    "audit", "repair", "convert to folds", "cross-validate", "curate (mask)", "curate (keep)", "convert", "train",
    "predict",
]  # fmt: skip
# One epoch learns nothing: what it would correct is not to be lost.
OPTIONS = {**SETTINGS, "epochs": 1, "folds": 2, "force": True, "spurious": "keep", "boxes": "none"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    table = draw(folder / "images")
    table.iloc[:20].to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"trustii_id": [1, 2], "NAME": table["NAME"][20:22]}).to_csv(folder / "test.csv", index=False)
    (folder / "spec.yaml").write_text(SPEC)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "run"
    plan = reproduce(data, output=folder, dataset=data / "spec.yaml", dry_run=True, **OPTIONS)
    assert not folder.exists(), "a dry run writes nothing"
    assert [one.step for one in plan] == STEPS
    assert {one.state for one in plan} == {"to do"}
    assert all(one.seconds > 0 for one in plan if one.step in ("cross-validate", "train", "predict"))
    assert {one.step: one.seconds for one in plan}["train"] > 9  # a training takes that with hardly an image
    reproduce(data, output=folder, dataset=data / "spec.yaml", **OPTIONS)
    return folder


def test_it_ends_with_a_row_for_each_test_row(run, data):
    rows = pd.read_csv(run / "submission.csv")
    assert rows["trustii_id"].tolist() == [1, 2]
    for spurious in ("mask", "keep"):
        assert (run / f"curated-{spurious}.csv").is_file()
        assert (run / f"curated-{spurious}.changes.csv").is_file()


def test_it_ends_with_the_score_and_what_was_changed(run):
    made = outcome(run, "keep")
    score = json.loads((run / "cv" / "score" / "score.json").read_text())
    assert (made.score, made.giou, made.macro_f1) == (score["score"], score["giou"], score["macro_f1"])
    matches = pd.read_csv(run / "cv" / "score" / "matches.csv", keep_default_na=False)
    assert made.right == pytest.approx((matches["true"] == matches["predicted"]).mean())
    log = pd.read_csv(run / "curated-keep.changes.csv")["rule"]
    assert made.changes["rows"].sum() == len(log) - 1 and "fingerprints" not in set(made.changes["rule"])


ON_CLUSTER = {**OPTIONS, "device": "auto", "runner": "slurm", "runner_options": "cluster=local,cpus=2"}


@pytest.fixture
def jobs(monkeypatch):
    """The names of the jobs that a cluster is given together, one list after the other."""
    given, run = [], ClusterRunner.run

    def noted(self, jobs, policy):
        given.append([*jobs])
        return run(self, jobs, policy)

    monkeypatch.setattr(ClusterRunner, "run", noted)
    return given


@pytest.mark.parametrize("seeds", [(), (0, 1)])
def test_a_cluster_makes_the_same_and_does_the_seeds_side_by_side(run, data, tmp_path, jobs, seeds):
    options = {**ON_CLUSTER, "dataset": data / "spec.yaml", **({"seeds": seeds} if seeds else {})}
    plan = reproduce(data, output=tmp_path / "run", **options)
    own = tmp_path / "run" / ("seed0" if seeds else "")
    for name in ("cv/oof.csv", "curated-mask.csv", "submission.csv"):
        assert (own / name).read_bytes() == (run / name).read_bytes(), name
    titles = [f"seed {seed} " for seed in seeds] or [""]
    folds = [f"{title}fold {fold}" for title in titles for fold in (0, 1)]
    assert jobs == [folds, [f"{title}train" for title in titles], [f"{title}predict" for title in titles]]
    assert [one.step for one in plan] == STEPS * len(titles) and all(one.seconds > 0 for one in plan)
    assert set(read_ledger(tmp_path / "run" / "jobs").entries) == set(jobs[-1])
    jobs.clear()
    assert not sum(one.seconds for one in reproduce(data, output=tmp_path / "run", **options)) and not jobs
    assert (tmp_path / "run" / "seeds.csv").is_file() == bool(seeds)


def test_a_seed_that_failed_is_gone_on_with_and_the_other_is_kept(data, tmp_path, jobs):
    options = {**ON_CLUSTER, "dataset": data / "spec.yaml", "seeds": (0, 1)}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CytoyoloError, match="no more"):
        patch.setattr(steps, "curate", _refuse_seed1(steps.curate))
        reproduce(data, output=tmp_path / "run", **options)
    assert len(jobs) == 1 and (tmp_path / "run" / "seed0" / "curated-mask.csv").is_file()
    reproduce(data, output=tmp_path / "run", **options)
    assert [one[0] for one in jobs[1:]] == ["seed 0 train", "seed 0 predict"], "the folds were trained again"


@pytest.mark.usefixtures("printed")
def test_a_job_that_fails_says_how_to_go_on(data, tmp_path, capsys):
    options = {**ON_CLUSTER, "dataset": data / "spec.yaml", "seeds": (0, 1)}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CytoyoloError, match="no more"):
        patch.setattr(ClusterRunner, "run", _refuse)
        reproduce(data, output=tmp_path / "run", **options)
    said = f"{tmp_path / 'run'} keeps the finished part; the same call continues it."
    assert capsys.readouterr().err.count(said) == 1


def _refuse(*_):
    raise CytoyoloError("no more.")


def _refuse_seed1(curate):
    def refused(*inputs, output, **given):
        if output.parent.name == "seed1":
            raise CytoyoloError("no more.")
        return curate(*inputs, output=output, **given)

    return refused


def test_no_cluster_is_said_before_any_step(data, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "audit", lambda *inputs, **given: pytest.fail("it was begun"))
    options = {**ON_CLUSTER, "dataset": data / "spec.yaml", "runner_options": "cpus=2"}
    monkeypatch.setenv("PATH", str(tmp_path))  # without sbatch
    with pytest.raises(CytoyoloError, match="sbatch"):
        reproduce(data, output=tmp_path / "run", **options)


def test_it_has_a_page_that_leads_to_the_pages_of_its_steps(run, data, browser):
    html = (run / "report.html").read_text(encoding="utf-8")
    made = outcome(run, "keep")
    assert f"Out-of-fold score {made.score:.4f}" in html and "The submission has 2 rows." in html
    names = ("audit/report.html", "cv/report.html", "curated-mask.report.html", "curated-keep.report.html",
             "run/report.html")  # fmt: skip
    for name in names:
        assert f'href="{name}"' in html and (run / name).is_file()
    assert "<img" in (run / "curated-mask.report.html").read_text() and (run / "curated-mask.findings.png").is_file()
    assert_sound(browser, run / "report.html")
    (run / "report.html").unlink()
    reproduce(data, output=run, dataset=data / "spec.yaml", report=False, **OPTIONS)
    assert not (run / "report.html").exists()
    reproduce(data, output=run, dataset=data / "spec.yaml", **OPTIONS)
    assert (run / "report.html").read_text(encoding="utf-8") == html


def test_a_page_of_another_program_stays(data, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UsageError, match=r"report\.html is there and was not made by `cytoyolo reproduce`"):
        reproduce(data, output=tmp_path, dataset=data / "spec.yaml", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(("right", "stops"), [(5, True), (6, False)])
def test_models_that_name_too_few_cells_right_correct_no_label(tmp_path, right, stops, caplog):
    (tmp_path / "score").mkdir()
    rows = [("LY", "LY")] * right + [("LY", "NA")] * (10 - right)
    pd.DataFrame(rows, columns=["true", "predicted"]).to_csv(tmp_path / "score" / "matches.csv", index=False)
    if not stops:
        check_models(tmp_path, force=False)
        return
    with pytest.raises(CytoyoloError, match=r"give only 50.0% of .* needs 60%.*force=True goes on"):
        check_models(tmp_path, force=False)
    check_models(tmp_path, force=True)
    assert "may spoil the labels" in caplog.text


def test_what_is_done_is_skipped(run, data):
    def times():
        return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.suffix != ".json"}

    before = times()
    again = reproduce(data, output=run, dataset=data / "spec.yaml", **OPTIONS)
    assert times() == before
    assert sum(one.seconds for one in again) == 0


def test_a_plan_tells_what_a_change_costs(run, data):
    def states(**changed):
        made = reproduce(data, output=run, dataset=data / "spec.yaml", dry_run=True, **{**OPTIONS, **changed})
        return {one.step: one.state for one in made}

    assert set(states().values()) == {"done"}
    assert [step for step, state in states(boxes="all").items() if state != "done"] == STEPS[4:]
    assert [step for step, state in states(epochs=2).items() if state != "done"] == STEPS[3:]


def test_an_interrupted_step_is_gone_on_with(run, data):
    state = json.loads((run / "reproduce.json").read_text())
    interrupted = {**state, "train": {**state["train"], "done": False}}
    (run / "reproduce.json").write_text(json.dumps(interrupted))
    weights = (run / "run" / "weights" / "best.pt").stat().st_mtime_ns
    plan = reproduce(data, output=run, dataset=data / "spec.yaml", dry_run=True, **OPTIONS)
    assert {one.step: one.state for one in plan}["train"] == "to go on with"
    reproduce(data, output=run, dataset=data / "spec.yaml", **OPTIONS)
    assert (run / "run" / "weights" / "best.pt").stat().st_mtime_ns == weights, "the finished training was repeated"


# What is done is never lost unasked


@pytest.fixture
def own(data, tmp_path):
    """A copy of the data, to be changed."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def edit_row(own):
    text = (own / "train.csv").read_text()
    (own / "train.csv").write_text(text.replace(",dark\n", ",pale\n", 1))


def touch(own):
    os.utime(own / "images" / "blob00.jpg", (1, 1))


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        (None, {"epochs": 3}, "epochs (1, now 3) changed since"),
        (None, {"seed": 4}, "seed (0, now 4) changed since"),
        (None, {"imgsz": 96, "batch": 4}, "batch (8, now 4), imgsz (64, now 96) changed since"),
        (None, {"folds": 3}, "folds (2, now 3) changed since"),
        (None, {"model": "yolo11s.yaml"}, "model (yolo11n.yaml, now yolo11s.yaml) changed since"),
        (None, {"boxes": "all"}, "boxes (none, now all) changed since"),
        (None, {"spurious": "mask"}, "spurious (keep, now mask) changed since"),
        (edit_row, {}, "train.csv changed since"),
        (touch, {}, "the images changed since"),
        (lambda own: (own / "images" / "new.jpg").write_bytes(b"new"), {}, "the images changed since"),
        (lambda own: (own / "test.csv").write_text("trustii_id,NAME\n1,blob20.jpg\n"), {}, "test.csv changed since"),
        (lambda own: (own / "spec.yaml").write_text(SPEC + "# new\n"), {}, "spec.yaml changed since"),
    ],
)
def test_what_was_done_with_other_settings_or_inputs_is_kept(run, own, monkeypatch, change, options, why):
    for step in ("audit", "repair", "convert", "crossval", "curate", "train", "submit"):
        monkeypatch.setattr(steps, step, lambda *inputs, **given: pytest.fail("a step was done"))
    before, given = contents(run), {**OPTIONS, "dataset": own / "spec.yaml", **options}
    if change:
        change(own)
    with pytest.raises(UsageError) as refused:
        reproduce(own, output=run, **given)
    assert why in str(refused.value) and f"so that this call would do anew what {run} holds: " in str(refused.value)
    assert "train (0:" in str(refused.value) and "\n" not in str(refused.value)
    if options.keys() - {"boxes", "spurious"} or change:
        assert "cross-validate (2 of 2 folds, 0:" in str(refused.value)
    assert str(refused.value).endswith("; give another folder to keep it, or overwrite=True to replace it.")
    assert contents(run) == before


def test_moved_data_are_the_same(run, data, tmp_path):
    """Their links are made anew; nothing is trained."""
    shutil.copytree(data, tmp_path / "moved")
    plan = reproduce(
        tmp_path / "moved", output=run, dry_run=True, **{**OPTIONS, "dataset": tmp_path / "moved/spec.yaml"}
    )
    assert {one.state for one in plan} == {"done"}
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    link = next(path for path in (tmp_path / "run" / "folds" / "images").iterdir())
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    plan = reproduce(data, output=tmp_path / "run", dry_run=True, **{**OPTIONS, "dataset": data / "spec.yaml"})
    assert next(one.step for one in plan if one.state != "done") == "convert to folds"


def test_links_to_moved_images_are_made_anew_and_nothing_is_trained(run, data, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    links = [path for path in (tmp_path / "run").rglob("images/*") if path.is_symlink()]
    assert {path.parents[1].name for path in links} == {"folds", "dataset"}
    for link in links:
        link.unlink()
        link.symlink_to(tmp_path / "gone" / link.name)
    for step in ("crossval", "train"):
        monkeypatch.setattr(steps, step, lambda *inputs, **given: pytest.fail("trained again"))
    reproduce(data, output=tmp_path / "run", dataset=data / "spec.yaml", **OPTIONS)
    assert all(path.is_file() for path in links)


def test_overwrite_does_anew_what_differs_and_no_more(run, data, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    done = []
    for step in ("audit", "repair", "convert", "curate", "submit"):
        monkeypatch.setattr(steps, step, lambda *inputs, step=step, **given: done.append(step))
    monkeypatch.setattr(steps, "train", lambda *inputs, output, **given: done.append(("train", output.exists())))
    monkeypatch.setattr(steps, "crossval", lambda *inputs, output, **given: done.append(("crossval", output.exists())))
    given = {**OPTIONS, "dataset": data / "spec.yaml", "epochs": 3}
    with pytest.raises(CytoyoloError):  # the steps behind find nothing of those that are played here
        reproduce(data, output=tmp_path / "run", overwrite=True, **given)
        raise CytoyoloError("nothing was found.")
    assert done[0] == ("crossval", False), "the old folds are removed before the new ones are recorded as begun"
    assert "audit" not in done and "repair" not in done


@pytest.mark.parametrize("name", ["audit", "dataset", "run", "repaired.csv", "submission.csv", "cv"])
def test_what_other_calls_put_there_is_kept(data, tmp_path, name):
    """Such as `make train`, whose folder is the same."""
    place = tmp_path / "run" / name
    place.parent.mkdir()
    (place if "." in name else place / "file").parent.mkdir(parents=True, exist_ok=True)
    (place if "." in name else place / "file").write_text("mine")
    before = contents(tmp_path / "run")
    with pytest.raises(UsageError, match=rf"{name} is there and was not made by `cytoyolo reproduce`.*overwrite=True"):
        reproduce(data, output=tmp_path / "run", dataset=data / "spec.yaml", **OPTIONS)
    assert contents(tmp_path / "run") == before


def test_a_table_that_was_mended_before_anything_was_trained_is_gone_on_with(own, tmp_path, monkeypatch):
    def broken(*inputs, **given):
        raise CytoyoloError("mend it")

    monkeypatch.setattr(steps, "repair", broken)
    for _ in range(2):
        with pytest.raises(CytoyoloError, match="mend it"):
            reproduce(own, output=tmp_path / "run", dataset=own / "spec.yaml", **OPTIONS)
        edit_row(own)


@pytest.mark.parametrize("left", ["nothing", "an empty run", "a run of no epoch"])
def test_a_training_killed_before_its_first_epoch_is_gone_on_with(run, data, tmp_path, monkeypatch, left):
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    made = json.loads((tmp_path / "run" / "reproduce.json").read_text())
    (tmp_path / "run" / "reproduce.json").write_text(json.dumps({**made, "train": {**made["train"], "done": False}}))
    shutil.rmtree(tmp_path / "run" / "run")
    if left != "nothing":
        clear_folder(tmp_path / "run" / "run", "train", overwrite=False, also=("manifest.json", "recipe.yaml"))
    if left == "a run of no epoch":
        shutil.copy(run / "run" / "recipe.yaml", tmp_path / "run" / "run")
        manifest = json.loads((run / "run" / "manifest.json").read_text())
        del manifest["metrics"]
        (tmp_path / "run" / "run" / "manifest.json").write_text(json.dumps({**manifest, "status": "running"}))
    monkeypatch.setattr(training, "fit", lambda *arguments: exit(7))
    with pytest.raises(SystemExit, match="7"):
        reproduce(data, output=tmp_path / "run", dataset=data / "spec.yaml", **OPTIONS)


def test_two_at_once_are_refused(data, run, monkeypatch):
    with locked(run / "reproduce.json", shown=run):
        thread = ThreadPoolExecutor(1).submit(reproduce, data, output=run, dataset=data / "spec.yaml", **OPTIONS)
        with pytest.raises(CytoyoloError, match=f"another process is at work in {run}; wait for it, or end it"):
            thread.result()


# What is found in the first second


def deeper(own):
    (own / "images").rename(own / "all")
    (own / "images").mkdir()
    (own / "all").rename(own / "images" / "all")


WRONG = [
    (lambda own: (own / "test.csv").write_text("a,b\n1,2\n"), {}, "test.csv needs the columns"),
    (
        lambda own: (own / "test.csv").write_text("trustii_id,NAME\n1,blob20.jpg\n1,blob21.jpg\n"),
        {},
        "1 is there twice",
    ),
    (lambda own: (own / "test.csv").write_text("trustii_id,NAME\n1,gone.jpg\n"), {}, "put them there, or correct"),
    (lambda own: (own / "train.csv").write_text("NAME\na.jpg\n"), {}, "train.csv needs the columns"),
    (lambda own: (own / "groups.csv").write_text("who,what\n"), {"groups": "groups.csv"}, "groups.csv"),
    (None, {"groups": "gone.csv"}, "gone.csv: no such file"),
    (None, {"model": "gone.pt"}, "gone.pt: no such weights file"),
    (None, {"model": "gone.yaml"}, "gone.yaml is not a network"),
    (lambda own: (own / "bad.pt").write_text("x"), {"model": "bad.pt"}, "is not a PyTorch checkpoint"),
    (None, {"recipe": "gone"}, "gone"),
    (None, {"epochs": 0}, "epochs=0"),
    (None, {"imgsz": 50}, "imgsz=50"),
    (None, {"device": "7"}, "device='7'"),
    (None, {"jobs": 0}, "jobs=0"),
    (None, {"folds": 1}, "folds=1"),
    (None, {"seed": -1}, "seed=-1"),
    (None, {"output": "images/run"}, "lies in .*images, the folder of the images"),
    (None, {"output": "test.csv/run"}, "is a file"),
]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("change", "options", "words"), WRONG)
def test_what_is_wrong_is_found_before_any_step(own, monkeypatch, change, options, words, dry_run):
    monkeypatch.chdir(own)
    for room, step in ((steps, "audit"), (command, "seconds")):
        monkeypatch.setattr(room, step, lambda *inputs, **given: pytest.fail("it was begun"))
    if change:
        change(own)
    with pytest.raises(CytoyoloError, match=words) as refused:
        reproduce(own, dry_run=dry_run, **{**OPTIONS, "dataset": own / "spec.yaml", "output": "run", **options})
    assert "\n" not in str(refused.value) and not (own / "run").exists()


def test_images_one_folder_deeper_are_named_or_used(own, monkeypatch):
    deeper(own)
    try:
        reproduce(own, output=own / "run", dry_run=True, dataset=own / "spec.yaml", **OPTIONS)
    except CytoyoloError as refused:
        words = f"lacks the 20 images of {own / 'train.csv'}, and 20 of them are in {own / 'images' / 'all'}"
        assert words in str(refused)


def test_a_disk_that_is_too_small_is_found_before_any_step(own, monkeypatch):
    monkeypatch.setattr(reproduce_inputs.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(CytoyoloError, match=r"has 1 MB left, and at least \d\d MB are needed; free some, or give"):
        reproduce(own, output=own / "run", dataset=own / "spec.yaml", **OPTIONS)
    assert not (own / "run").exists()


@pytest.mark.usefixtures("printed")
def test_images_that_are_not_there_are_counted(own, capsys):
    (own / "images" / "blob03.jpg").unlink()
    reproduce(own, output=own / "run", dry_run=True, dataset=own / "spec.yaml", **OPTIONS)
    assert "lacks 1 of the 20 images of" in capsys.readouterr().err


@pytest.mark.usefixtures("printed")
def test_an_interrupted_one_says_that_the_same_call_goes_on(own, monkeypatch, capsys):
    def interrupted(*inputs, **given):
        console.way_on("CV: go on with --resume.")
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "audit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce(own, output=own / "run", dataset=own / "spec.yaml", **OPTIONS)
    said = capsys.readouterr().err
    assert "the same call continues it" in said and "--resume" not in said


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (MENDABLE, "mend or delete them in {}/train.csv"),
        (f"or give it{ANOTHER_LIMIT}.", "or give it."),
    ],
)
def test_no_option_of_a_step_is_advised(own, monkeypatch, said, instead):
    def refuse(*inputs, **given):
        raise UsageError(said)

    monkeypatch.setattr(steps, "audit", refuse)
    with pytest.raises(UsageError) as refused:
        reproduce(own, output=own / "run", dataset=own / "spec.yaml", **OPTIONS)
    assert str(refused.value) == instead.format(own)


def test_a_folder_without_its_tables_is_named(tmp_path, cytoyolo):
    done = cytoyolo("reproduce", tmp_path, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "train.csv is missing" in done.stderr


def test_a_plan_downloads_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "home"))
    options = {**OPTIONS, "recipe": "quick", "model": "yolo11n.pt"}
    plan = reproduce(data, output=tmp_path / "run", dataset=data / "spec.yaml", dry_run=True, **options)
    assert {one.step: one.seconds for one in plan}["train"] > 0
    assert not list(tmp_path.rglob("*.pt"))


def test_a_prediction_takes_the_first_of_several_gpus(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(steps, "submit", lambda *_, **options: seen.append(options["device"]))
    call = Call(
        source=data, folder=tmp_path, dataset="wbc5", groups=None, background=None, folds=2, spurious="mask",
        boxes="loose", device="1,2", jobs=1, force=False, report=True, training={"recipe": "quick", "seed": 0},
        resolved={"seed": 0}, where=RUNNER, seed=None, home=tmp_path,
    )  # fmt: skip
    steps.steps_of(call)[-1].work(False)
    assert seen == ["1"]


def test_a_deleted_table_of_the_cross_validation_is_one_sentence(tmp_path):
    with pytest.raises(CytoyoloError, match=r"matches\.csv is missing or damaged; put it back"):
        check_models(tmp_path, force=False)
