from pathlib import Path

import orjson
import pytest

from pipelines import reviews
from pipelines.review.order import Wanted
from pipelines.review.reading import Review
from schemas.errors import GristmillError


@pytest.mark.parametrize("name", ["labels.csv", "argilla"])
def test_what_the_command_exports_it_imports(
    folder: Path, run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    review = Review(run)
    for person in ("anna", "ben"):
        item, _left = review.next("pairs", person, Wanted())
        assert item is not None
        review.judge("pairs", item["key"], person, "tie")
    out = folder / "runs"
    reviews.export("judged", tmp_path / name, out=out)
    review.verdicts.file.unlink()
    reviews.take("judged", tmp_path / name, out=out)
    assert "2 verdicts added, 0 were known, 0 are of nothing in this run" in capsys.readouterr().out
    reviews.agreement("judged", out=out)
    assert "anna and ben: the same on 100.0% of 1" in capsys.readouterr().out
    reviews.agreement(str(run), out=out, json=True)
    assert orjson.loads(capsys.readouterr().out)["pairs"]["by_several"] == 1


def test_a_run_that_is_not_there_is_told_with_those_that_are(folder: Path) -> None:
    with pytest.raises(GristmillError, match="there are: judged"):
        reviews.export("other", folder / "x.csv", out=folder / "runs")
    with pytest.raises(GristmillError, match="no such file"):
        reviews.agreement("judged", out=folder / "runs")
