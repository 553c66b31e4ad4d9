"""`--seeds`: everything once for each seed, what is kept, and the figures over the seeds."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml

from cytoyolo.commands import crossval as commands
from cytoyolo.commands import reproduce as method
from cytoyolo.commands.crossval import crossval
from cytoyolo.commands.fold_tables import LAST
from cytoyolo.commands.reproduce import Planned, reproduce
from cytoyolo.commands.several_seeds import parse_seeds, write_summary
from cytoyolo.commands.train_folder import RECIPE
from cytoyolo.detector.table import OUT_OF_FOLD
from cytoyolo.errors import UsageError
from cytoyolo.runners.ledger import read_ledger
from cytoyolo.scoring.over_seeds import over_seeds
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing
from tests.blobs import draw

pytestmark = pytest.mark.slow  # several trainings

OPTIONS = {"recipe": "quick", "model": "yolo11n.yaml", "epochs": 1, "imgsz": 64, "batch": 8, "device": "cpu"}


@pytest.fixture
def lab(tmp_path, blobs):
    draw(tmp_path / "images", 12).to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "spec.yaml").write_bytes((blobs / "spec.yaml").read_bytes())
    return tmp_path


@pytest.fixture
def trained(monkeypatch):
    """In the place of the trainings: models that know all boxes, and name the first boxes wrong, as many as the seed
    says. The list of the folders that were trained in."""
    folders = []

    def train(several, runner):
        (one,) = several.values()
        folder, data = one.folder, one.data
        folders.append(folder.name)
        seed = yaml.safe_load((folder / RECIPE).read_text())["seed"]
        listing, labels, codes = read_listing(data).set_index("NAME"), read_labels(data), data.spec.codes
        for fold in range(2):
            weights = folder / f"fold{fold}" / LAST
            weights.parent.mkdir(parents=True)
            weights.write_bytes(bytes([seed, fold]))
            rows = []
            for number, (x1, y1, x2, y2, name, code) in enumerate(labels.itertuples(index=False)):
                if int(listing.loc[name, "part"]) == fold:
                    right = codes.index(code) if number >= seed else 1 - codes.index(code)
                    rows.append([name, fold, 80, 72, x1, y1, x2, y2, 0.9, *np.eye(2)[right] * 0.8 + 0.1])
            pd.DataFrame(rows, columns=OUT_OF_FOLD.header(data.spec, codes)).to_csv(
                folder / f"fold{fold}.csv", index=False
            )

    monkeypatch.setattr(commands, "_train_folds", train)
    return folders


def run(lab, output="CV", **options):
    given = {"images": lab / "images", "dataset": lab / "spec.yaml", "folds": 2, **OPTIONS, **options}
    return crossval(lab / "labels.csv", output=lab / output, **given)


def test_figures_over_seeds_are_those_of_scipy():
    random = np.random.default_rng(0)
    values = random.uniform(0.4, 0.6, (5, 4))
    scores = {
        seed: {
            "score": a, "giou": b, "macro_f1": c,
            "classes": {"LY": {"f1": d, "support": 3}, "MO": {"f1": 0.0, "support": 0}},
        }
        for seed, (a, b, c, d) in enumerate(values.tolist())
    }  # fmt: skip
    table = over_seeds(scores)
    assert table["figure"].tolist() == ["score", "giou", "macro_f1", "f1 LY"]
    assert (table[[f"seed{seed}" for seed in range(5)]].to_numpy() == values.T).all()
    low, high = scipy.stats.t.interval(0.95, 4, loc=values.mean(axis=0), scale=scipy.stats.sem(values, axis=0))
    expected = np.stack([values.mean(axis=0), values.std(axis=0, ddof=1), low, high], axis=1)
    np.testing.assert_allclose(table[["mean", "sd", "low", "high"]].to_numpy(float), expected)


def test_no_page_stays_with_the_figures_of_an_earlier_summary(tmp_path):
    one = {"score": 0.5, "giou": 0.9, "macro_f1": 0.4, "classes": {"LY": {"f1": 0.4, "support": 3}}}
    write_summary(tmp_path, {0: one, 1: one}, report=True)
    assert (tmp_path / "report.html").is_file()
    write_summary(tmp_path, {0: one, 1: one, 2: one}, report=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seeds.csv", "seeds.json"]


def test_no_page_stays_with_the_figures_of_an_earlier_end(lab, trained):
    run(lab)
    assert (lab / "CV" / "report.html").is_file()
    run(lab, resume=True, report=False)
    assert (lab / "CV" / "oof.csv").is_file() and not (lab / "CV" / "report.html").exists()


def test_a_figure_stays_within_0_and_1():
    one = {"giou": 1.0, "macro_f1": 0.0, "classes": {}}
    table = over_seeds({0: {**one, "score": 0.99}, 1: {**one, "score": 0.01}}).set_index("figure")
    assert tuple(table.loc["score", ["low", "high"]]) == (0, 1)
    assert tuple(table.loc["giou", ["mean", "sd", "low", "high"]]) == (1, 0, 1, 1)


def test_each_seed_has_a_folder_and_the_summary_is_of_all(lab, trained):
    made = run(lab, seeds="0,3,1")
    assert trained == ["seed0", "seed3", "seed1"]
    alone = {seed: run(lab, f"alone{seed}", seed=seed) for seed in (0, 1, 3)}
    for seed, one in alone.items():
        assert (made.folder / f"seed{seed}" / "oof.csv").read_bytes() == one.oof.read_bytes()
    expected = over_seeds({seed: one.score.to_dict() for seed, one in alone.items()})
    pd.testing.assert_frame_equal(made.seeds, expected)
    assert made.seeds["sd"][0] > 0 and made.oof == made.folder / "seed0" / "oof.csv" and made.score.score == 1
    written = json.loads((made.folder / "seeds.json").read_text())
    assert written["score"]["mean"] == pytest.approx(np.mean([one.score.score for one in alone.values()]))
    assert written["score"]["seeds"] == {str(seed): one.score.score for seed, one in alone.items()}


def test_an_interrupted_call_goes_on_and_further_seeds_are_added(lab, trained, monkeypatch):
    train = commands._train_folds

    def killed(several, *given):
        if several[""].folder.name == "seed1":
            raise KeyboardInterrupt
        train(several, *given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(commands, "_train_folds", killed)
        run(lab, seeds=[0, 1])
    assert not (lab / "CV" / "seeds.json").exists()
    run(lab, seeds=[0, 1])
    assert trained == ["seed0", "seed1"]
    run(lab, "whole", seeds=[1, 0])
    for name in ("seeds.json", "seeds.csv"):
        assert (lab / "CV" / name).read_bytes() == (lab / "whole" / name).read_bytes()
    trained.clear()
    assert "seed2" in run(lab, seeds="2,0,1", resume=True).seeds and trained == ["seed2"]
    with pytest.raises(UsageError, match="seed0 was started with other settings \\(epochs"):
        run(lab, seeds="5,0", epochs=2)
    assert trained == ["seed2"] and not (lab / "CV" / "seed5").exists()


@pytest.mark.parametrize(
    "seeds",
    ["0,0", "x", "", "0", "0,", "0,-1", "0,1.5", "0,99999999999", "0,4294967296", [1], [1, 1], [0, True], [0, 1.0], 5],
)
def test_seeds_that_are_wrong_are_one_sentence(seeds, lab, trained):
    with pytest.raises(
        UsageError, match=r"^seeds=.*give two or more different whole numbers from 0 to 4294967295, such"
    ):
        parse_seeds(seeds)
    with pytest.raises(UsageError, match=r"^seeds="):
        run(lab, seeds=seeds)
    assert not (lab / "CV").exists() and not trained


def test_other_wrong_calls_make_nothing(lab, trained):
    with pytest.raises(UsageError, match=r"^`seed` and `seeds` are both given; leave one of them out\.$"):
        run(lab, seeds="0,1", seed=0)
    with pytest.raises(UsageError, match="has no cross-validation that can be continued; leave out"):
        run(lab, seeds="0,1", resume=True)
    with pytest.raises(UsageError, match="nosuch"):
        run(lab, seeds="0,1", recipe="nosuch")
    assert not (lab / "CV").exists()
    run(lab, seed=0)
    with pytest.raises(UsageError, match=r"CV holds classes.csv, which no call with `seeds` made"):
        run(lab, seeds="0,1")
    with pytest.raises(UsageError, match=r"holds CV, which no call with `seeds` made; give another folder"):
        reproduce(lab, output=lab, seeds="0,1")
    assert trained == ["CV"]


def test_a_reproduction_does_all_for_each_seed(lab, trained, monkeypatch):
    done = []

    def some(calls, overwrite, dry_run):
        ((seed, call),) = calls.items()
        done.append(seed)
        if not dry_run:
            run(lab, call.folder / "cv", seed=seed)
        return {seed: [Planned("cross-validate", call.folder / "cv", "done", 1.0, None)]}

    monkeypatch.setattr(method, "_reproduce", some)
    plan = reproduce(lab, output=lab / "all", seeds="2,0", dry_run=True)
    assert [step.makes for step in plan] == [lab / "all" / f"seed{seed}" / "cv" for seed in (2, 0)]
    assert not (lab / "all").exists()
    reproduce(lab, output=lab / "all", seeds="2,0")
    assert done == [2, 0, 2, 0]
    written = json.loads((lab / "all" / "seeds.json").read_text())
    assert (
        list(written["score"]["seeds"]) == ["0", "2"] and written["score"]["seeds"]["0"] == 1 > written["score"]["mean"]
    )


def test_the_folds_of_all_seeds_are_jobs_of_a_cluster_together(lab):
    where = {"device": "auto", "runner": "slurm", "runner_options": "cluster=local,cpus=2"}
    made = run(lab, seeds=(0, 1), **where)
    alone = run(lab, "alone", seed=1)
    assert (made.folder / "seed1" / "oof.csv").read_bytes() == alone.oof.read_bytes()
    jobs = {f"seed {seed} fold {fold}" for seed in (0, 1) for fold in (0, 1)}
    assert set(read_ledger(made.folder / "jobs").entries) == jobs
    assert run(lab, seeds=(1, 0), resume=True, **where).seeds.equals(made.seeds)


def test_the_command_prints_the_figures(lab, trained, monkeypatch, capsys):
    from typer.testing import CliRunner

    from cytoyolo.cli.app import app

    monkeypatch.chdir(lab)
    flags = [part for name, value in OPTIONS.items() for part in (f"--{name}", str(value))]
    call = ["crossval", "labels.csv", "--images", "images", "--dataset", "spec.yaml", "--folds", "2", *flags]
    shown = CliRunner().invoke(app, [*call, "-o", "CV", "--seeds", "0,2"])
    assert shown.exit_code == 0 and "cross-validations with 2 seeds" in shown.stdout and "macro_f1" in shown.stdout
    assert shown.stderr.endswith("Open in a browser: CV/report.html\n")
    html = (lab / "CV" / "report.html").read_text()
    assert all(f"href=\"seed{seed}/report.html\"" in html and (lab / f"CV/seed{seed}/report.html").is_file()
               for seed in (0, 2))  # fmt: skip
    again = CliRunner().invoke(app, [*call, "-o", "CV", "--seeds", "0,2", "--json"])
    figures = json.loads(again.stdout)["seeds"]
    assert figures["score"]["seeds"].keys() == {"0", "2"} and figures["score"]["sd"] > 0
