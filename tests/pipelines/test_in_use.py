"""Whoever takes rows out of a folder of runs is alone with it; whoever reads one of its runs keeps it from that."""

from pathlib import Path

import pytest

from pipelines.in_use import alone, in_use, reading
from pipelines.publish import publish
from schemas.errors import GristmillError, PublishError


@pytest.mark.parametrize("run", ["sums/2026", "sums/first-20/2026"])
def test_who_reads_a_run_holds_the_folder_of_all_runs(tmp_path: Path, run: str) -> None:
    (tmp_path / run).mkdir(parents=True)
    with in_use(tmp_path):
        pass  # as the run that made it did
    with reading(tmp_path / run), pytest.raises(GristmillError, match="is in use"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_a_run_that_was_moved_elsewhere_is_read_without_leaving_a_lock(tmp_path: Path) -> None:
    with reading(tmp_path):
        assert not list(tmp_path.iterdir())


def test_nothing_is_forgotten_while_a_dataset_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "sums" / "2026"
    run.mkdir(parents=True)
    with in_use(tmp_path / "runs"):
        pass
    seen = []

    def staged(folder: Path, *, leave_out: bool) -> None:
        with pytest.raises(GristmillError, match="is being published"), alone(tmp_path / "runs"):
            pass
        seen.append((folder, leave_out))
        raise PublishError("far enough")

    monkeypatch.setattr("pipelines.publish.staged", staged)
    with pytest.raises(PublishError, match="far enough"):
        publish(run, str(tmp_path / "to"))
    assert seen == [(run, False)]
