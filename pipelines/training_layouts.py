"""The datasets beside `sft` and `preferences`: what TRL's other trainers read.

TRL's reward trainer reads `preferences` as it is: `prompt`, `chosen`, `rejected`, and `margin` where it is kept.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import polars as pl

from pipelines.held_out import Split
from pipelines.review.override import authored, authored_replies
from pipelines.select import Selection, preference_rows, sft_rows
from schemas.tables import GRPO, OVERRIDDEN, PLAIN, PREFERENCES, SFT, UNPAIRED

SCORED = pl.col("replies").list.eval(pl.element().struct.field("score").is_not_null()).list.any()


class Datasets:
    """Writes what was picked in every layout, some samples at a time; used as a context."""

    def __init__(self, folder: Path, *, rule: str, held_out: float = 0.0) -> None:
        schemas = {"sft": SFT, "preferences": PREFERENCES, "plain": PLAIN, "unpaired": UNPAIRED, "grpo": GRPO}
        self.rule, self.labelled = rule, 0
        self.tables = {name: Split(folder, name, schema, held_out) for name, schema in schemas.items()}
        self.open = ExitStack()

    def __enter__(self) -> Self:
        for table in self.tables.values():
            self.open.enter_context(table)
        return self

    def __exit__(self, *failure: object) -> None:
        self.open.__exit__(*failure)  # type: ignore[arg-type] # what `with` gives

    def write(
        self,
        picked: Selection,
        candidates: pl.DataFrame,
        samples: pl.DataFrame,
        *,
        overridden: pl.DataFrame | None = None,
    ) -> None:
        """Write what was picked of these samples' candidates; what people flipped (`overridden`) names them."""
        changed = pl.DataFrame(schema=OVERRIDDEN) if overridden is None else overridden
        sft = sft_rows(picked.sft, candidates, samples, self.rule)
        rows = {
            "sft": sft,
            "preferences": authored(preference_rows(picked.pairs, candidates, samples, self.rule), changed),
            "plain": plain_rows(sft),
            "unpaired": authored_replies(unpaired_rows(picked, candidates, samples, self.rule), changed),
            "grpo": grpo_rows(samples),
        }
        for name, table in rows.items():
            self.tables[name].write(table, samples)
        self.labelled += samples.filter(SCORED).height

    def facts(self) -> dict[str, Any]:
        """Give each layout's rows, how many of them are held out, and the samples whose replies came with scores."""
        rows = {name: table.rows for name, table in self.tables.items()}
        apart = {name: table.apart for name, table in self.tables.items()}
        return {**rows, "held_out": apart, "labelled": self.labelled}


def plain_rows(sft: pl.DataFrame) -> pl.DataFrame:
    """Give the SFT rows whose prompt is one turn by the user with `prompt` and `completion` as plain texts.

    Others need a chat template to be one text: they are in `sft` alone.
    """
    first, last = pl.col("prompt").list.first(), pl.col("completion").list.last()
    single = (pl.col("prompt").list.len() == 1) & (first.struct.field("role") == "user")
    rows = sft.filter(single).with_columns(
        prompt=first.struct.field("content"), completion=last.struct.field("content")
    )
    return rows.select(*PLAIN).cast(PLAIN)


def unpaired_rows(picked: Selection, candidates: pl.DataFrame, samples: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Give KTO's rows: `label` is true for what was picked for SFT or chosen, false for what was rejected.

    False is also what the data itself calls bad, where it is the only reply to its prompt.

    A candidate is in it once. One whose text is on both sides of its prompt has no label, and is left out.
    """
    sides = [
        picked.sft.select("id", label=pl.lit(value=True)),
        picked.pairs.select(id="chosen_id", label=pl.lit(value=True)),
        picked.pairs.select(id="rejected_id", label=pl.lit(value=False)),
        picked.bad.select("id", label=pl.lit(value=False)),
    ]
    told = pl.concat(sides).unique(maintain_order=True)
    texts = told.join(candidates.select("id", "sample_id", "text"), on="id", maintain_order="left")
    clear = texts.filter(pl.col("label").n_unique().over("sample_id", "text") == 1)
    rows = sft_rows(clear.select("id"), candidates, samples, rule)
    labelled = rows.join(clear.select(candidate_id="id", label="label"), on="candidate_id", maintain_order="left")
    return labelled.select(*UNPAIRED).cast(UNPAIRED)


def grpo_rows(samples: pl.DataFrame) -> pl.DataFrame:
    """Give GRPO's prompts: the kept samples that a verifier can score, with its columns `check` and `reference`."""
    verifiable = samples.filter(pl.col("check").is_not_null() | pl.col("reference").is_not_null())
    return verifiable.select(*GRPO).cast(GRPO)
