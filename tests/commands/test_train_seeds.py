"""`train --seeds`: a run for each seed, here or as a job of a cluster, and the figures over the seeds."""

import json

import pandas as pd
import pytest

from cytoyolo import train
from cytoyolo.commands import train_seeds as command
from cytoyolo.commands.train_seeds import SeedsCall, train_seeds
from cytoyolo.errors import UsageError
from cytoyolo.runners.options import RUNNER
from tests.blobs import SETTINGS

OPTIONS = {**SETTINGS, "epochs": 1}
SLURM = {"runner": "slurm", "runner_options": "cluster=local,cpus=1,at_once=2", "device": "auto"}


@pytest.mark.slow
def test_seeds_are_jobs_of_a_cluster_and_what_is_finished_stays(blobs, tmp_path):
    made = train(blobs / "dataset", output=tmp_path / "runs", seeds=[1, 0], **{**OPTIONS, **SLURM})
    assert made.weights == tmp_path / "runs" / "seed1" / "weights" / "best.pt" and made.weights.is_file()
    manifests = [tmp_path / "runs" / f"seed{seed}" / "manifest.json" for seed in (0, 1)]
    assert [json.loads(path.read_text())["seed"] for path in manifests] == [0, 1]
    before = [path.stat().st_mtime_ns for path in manifests]
    again = train(blobs / "dataset", output=tmp_path / "runs", seeds="0,1", **{**OPTIONS, **SLURM})
    assert before == [path.stat().st_mtime_ns for path in manifests]
    pd.testing.assert_frame_equal(again.seeds, made.seeds)
    with pytest.raises(UsageError, match=r"finished training that differs in epochs \(1, now 3\)"):
        train(blobs / "dataset", output=tmp_path / "runs", seeds="0,1", **{**OPTIONS, "epochs": 3})


def test_on_this_machine_the_seeds_come_one_after_the_other(blobs, tmp_path, monkeypatch):
    def stand_in(data, output, device, fold, um_per_px, overwrite, report, own):
        seed = own["seed"]
        calls.append((output.name, seed, own["epochs"], device))
        output.mkdir()
        figures = {"epoch": 1, "metrics/mAP50(B)": seed / 10, "lr/pg0": 5.0}
        facts = {"status": "finished", "fold": None, "metrics": figures, "dataset": {}}
        (output / "manifest.json").write_text(json.dumps({**facts, "start": {"name": "a", "sha256": None}}))

    calls = []
    monkeypatch.setattr(command, "train_one", stand_in)
    call = SeedsCall(blobs / "dataset", tmp_path / "runs", (3, 1), "cpu", None, None, False, False, {"epochs": 7})
    table = train_seeds(call, RUNNER)
    assert calls == [("seed3", 3, 7, "cpu"), ("seed1", 1, 7, "cpu")]
    assert list(table["figure"]) == ["mAP50(B)"] and table.loc[0, ["seed1", "seed3"]].tolist() == [0.1, 0.3]
    assert pd.read_csv(tmp_path / "runs" / "seeds.csv")["mean"].tolist() == [0.2]
    assert json.loads((tmp_path / "runs" / "seeds.json").read_text())["mAP50(B)"]["seeds"] == {"1": 0.1, "3": 0.3}


def test_wrong_calls_with_seeds(blobs, tmp_path):
    with pytest.raises(UsageError, match="`runner` is for the trainings of several seeds"):
        train(blobs / "dataset", output=tmp_path / "run", runner="slurm")
    with pytest.raises(UsageError, match="`seed` and `seeds` are both given"):
        train(blobs / "dataset", output=tmp_path / "run", seed=1, seeds="0,1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"holds mine\.txt, which no call with `seeds` made"):
        train(blobs / "dataset", output=tmp_path / "run", seeds="0,1")
    with pytest.raises(UsageError, match="leave out seeds"):
        train(blobs / "dataset", output=tmp_path / "run", seeds="0,1", resume=True)
    with pytest.raises(UsageError, match="no such weights file"):
        train(blobs / "dataset", output=tmp_path / "new", seeds="0,1", model="no such.pt")
    assert not (tmp_path / "new").exists()
