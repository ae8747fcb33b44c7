"""The split by prompt: which rows of a dataset are held out of training."""

import shutil
from pathlib import Path
from typing import Self

import polars as pl

from pipelines.store import Writer
from schemas.chats import content_id
from schemas.tables import plain, plain_schema

DIGITS = 8  # hexadecimal, of a hash: a prompt's place from 0 to 1


def held_out_ids(samples: pl.DataFrame, share: float) -> pl.Series:
    """Give the ids of the samples that are held out: about `share` of the prompts, each by the hash of its first turn.

    The first turn by the user counts, without letter case and blanks: samples that begin with the same one, such as the
    turns of one conversation, are on the same side. A prompt's side does not depend on the other rows, so that it stays
    where it is when the data grows.
    """
    asked = pl.element().filter(pl.element().struct.field("role") == "user").struct.field("content").first()
    opening = pl.col("prompt").list.eval(asked).list.first().str.to_lowercase().str.replace_all(r"\s+", " ")
    openings = samples.select("id", opening=opening.str.strip_chars())
    sides = {
        text: int(content_id(text)[:DIGITS], 16) < share * 16**DIGITS for text in openings["opening"].unique().to_list()
    }
    return openings.filter(pl.Series([sides[text] for text in openings["opening"]], dtype=pl.Boolean))["id"]


class Split:
    """Writes a dataset table by table, in the folders `train` and `test` where a share is held out; used as a context.

    By these names `datasets.load_dataset` knows the splits. `rows` counts the rows, `apart` those in `test`. Chats are
    written without tool calls until there is one; what was written before is then written again.
    """

    def __init__(self, folder: Path, name: str, schema: pl.Schema, share: float) -> None:
        self.folder, self.name, self.share = folder, name, share
        self.whole, self.schema = schema, plain_schema(schema)
        self.rows = self.apart = 0
        self.parts: dict[str, Writer] = {}

    def __enter__(self) -> Self:
        for part in ("train", "test") if self.share else ("",):
            self.parts[part] = Writer(self.folder / self.name, part, self.schema).__enter__()
        return self

    def __exit__(self, failure: type[BaseException] | None, *rest: object) -> None:
        for part in self.parts.values():
            part.__exit__(failure, *rest)

    def write(self, table: pl.DataFrame, samples: pl.DataFrame) -> None:
        """Add rows, with the samples that they are of."""
        if self.schema != self.whole and plain(table).schema != self.schema:
            self._widen()
        out = table if self.schema == self.whole else plain(table)
        self.rows += out.height
        if not self.share:
            self.parts[""].write(out)
            return
        sample = "sample_id" if "sample_id" in out.columns else "id"
        apart = out[sample].is_in(held_out_ids(samples, self.share).implode())
        self.parts["train"].write(out.filter(~apart))
        self.parts["test"].write(out.filter(apart))
        self.apart += int(apart.sum())

    def _widen(self) -> None:
        """Write again, with the place for tool calls, what was written without."""
        self.__exit__(None)
        before = (self.folder / self.name).rename(self.folder / f".{self.name}")
        self.schema = self.whole
        self.__enter__()
        for part, writer in self.parts.items():
            for shard in sorted((before / part).glob("*.parquet")):
                writer.write(pl.read_parquet(shard).cast(self.schema))
        shutil.rmtree(before)
