"""What rules measure: anew where a file they read has changed, and in words where they measure nothing."""

from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from filters.index import write_index
from generators.ledger import open_ledger
from pipelines.curate import RULE_UNCHECKED, curate, values_of
from pipelines.ingest import ingest
from pipelines.sections import FilterPart
from pipelines.sources import Source
from pipelines.store import Stored, read_table
from schemas.errors import GristmillError
from schemas.tables import SAMPLES

OWN = """
import polars as pl
from schemas.rules import Rule

def missing(*, maximum: float = 0) -> Rule:
    return Rule(pl.col("length"), None, maximum)

def words(*, maximum: float = 0) -> Rule:
    return Rule(pl.col("reply"), None, maximum)

def short(*, maximum: float = 0) -> Rule:
    return Rule(lambda samples: pl.Series([1.0]), None, maximum)

def nowhere(*, maximum: float = 0) -> Rule:
    return Rule(pl.lit(float("nan")), None, maximum)
"""


def curated(
    folder: Path, asks: list[str], use: str, *, benchmarks: tuple[Stored, ...] = (), **arguments: Any
) -> Stored:
    """Run one rule over prompts that are their own replies."""
    rows = [orjson.dumps({"instruction": ask, "output": ask}) for ask in asks]
    (folder / "rows.jsonl").write_bytes(b"\n".join(rows))
    ingested = ingest(folder / "store", [Source(path=str(folder / "rows.jsonl"))])
    part = FilterPart(use=use, engine=None, **arguments)
    with closing(open_ledger(folder / "ledger.sqlite")) as ledger:
        return curate(folder / "store", ingested, benchmarks, [part], engines={}, ledger=ledger, say=lambda _line: None)


def kept(stored: Stored) -> list[str]:
    return read_table(stored, "kept", SAMPLES)["reply"].to_list()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_rules.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("use", ["filters.duplicates:exact", "filters.duplicates:near"])
def test_rows_of_an_index_that_was_written_again_are_matched(tmp_path: Path, use: str) -> None:
    asks = ["Name a river in Africa.", "Name a mountain in Asia."]
    index = tmp_path / "earlier.parquet"
    for count, left in ((1, asks[1:]), (2, [])):
        samples = ingest(tmp_path / "earlier", [Source(path=str(_rows(tmp_path, asks[:count])))])
        write_index([read_table(samples, "samples", SAMPLES)], index, name="earlier")
        assert kept(curated(tmp_path, asks, use, part="prompt", against=[str(index)])) == left


def _rows(folder: Path, asks: list[str]) -> Path:
    file = folder / f"earlier{len(asks)}.jsonl"
    file.write_bytes(b"\n".join(orjson.dumps({"instruction": ask}) for ask in asks))
    return file


def test_tokens_are_counted_anew_by_another_tokenizer_of_the_same_folder(tmp_path: Path) -> None:
    counts = []
    for splits in (True, False):
        tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - no password
        if splits:
            tokenizer.pre_tokenizer = Whitespace()
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        found = values_of(curated(tmp_path, ["one two three"], "filters.length:tokens", tokenizer=str(tmp_path)))
        counts.append(found["filters.length:tokens"]["value"].item())
    assert counts == [3, 1]


@pytest.mark.parametrize("name", ["missing", "words", "short"])
def test_a_rule_that_measures_no_rows_is_named(own: Path, name: str) -> None:
    with pytest.raises(GristmillError, match=f"the rule own_rules:{name} measures nothing: .*each of the 2 rows"):
        curated(own, ["one", "two"], f"own_rules:{name}")


def test_what_is_no_number_is_not_measured_and_kept(own: Path) -> None:
    stored = curated(own, ["one", "two"], "own_rules:nowhere")
    assert kept(stored) == ["one", "two"]
    assert values_of(stored)["own_rules:nowhere"]["value"].to_list() == [None, None]


def test_which_questions_are_too_short_to_look_for_is_a_table(tmp_path: Path) -> None:
    asks = ["Why?", "What is the name of the river that runs by the old town and into the wide sea?"]
    benchmark = ingest(tmp_path / "store", [Source(path=str(_rows(tmp_path, asks)))], "benchmark")
    stored = curated(tmp_path, asks, "filters.contamination:ngrams", benchmarks=(benchmark,))
    told = read_table(stored, "unchecked", RULE_UNCHECKED)
    assert told.select("rule", "text", "checked").rows() == [("filters.contamination:ngrams", "Why?", "no")]
    assert told["other"][0].endswith("earlier2.jsonl:0")


def test_an_index_is_written_where_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(GristmillError, match="there is no folder"):
        write_index([pl.DataFrame(schema=SAMPLES)], tmp_path / "no" / "index.parquet", name="x")
