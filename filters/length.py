"""Rules on how long a text is."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from filters.texts import Part, text
from schemas.errors import InputError
from schemas.rules import Rule

SENTENCE = r"""(?s)\S.*?(?:[.!?…]+["'”’)\]]*(?:\s|\z)|[。！？]+|\z)"""  # noqa: RUF001 - full-width marks end sentences
BATCH = 1_000  # texts a call: what the tokenizer holds at a time


def words(*, part: Part = "reply", minimum: int | None = 1, maximum: int | None = None) -> Rule:
    """Words of `part`, runs of non-blank characters. Kept: `minimum` to `maximum`, both inclusive."""
    return Rule(text(part).str.count_matches(r"\S+"), minimum, maximum)


def characters(*, part: Part = "reply", minimum: int | None = 1, maximum: int | None = None) -> Rule:
    """Characters (Unicode code points) of `part`, outer blanks not counted. Both bounds inclusive."""
    return Rule(text(part).str.strip_chars().str.len_chars(), minimum, maximum)


def sentences(*, part: Part = "reply", minimum: int | None = None, maximum: int | None = None) -> Rule:
    """Sentences of `part`: up to . ! ? or … before a blank, up to 。！？, or up to the end. Both bounds inclusive.

    An abbreviation's full stop ends a sentence too: a count to tell a line from an essay, not to cut text by.
    """  # noqa: RUF002 - the full-width marks are meant
    return Rule(text(part).str.count_matches(SENTENCE), minimum, maximum)


def turns(*, minimum: int | None = 1, maximum: int | None = None) -> Rule:
    """Messages of the prompt, the system's among them. Both bounds inclusive."""
    return Rule(pl.col("prompt").list.len(), minimum, maximum)


def tokens(*, tokenizer: str, part: Part = "reply", minimum: int | None = None, maximum: int | None = None) -> Rule:
    """Tokens of `part` by `tokenizer`, without special tokens. Kept: `minimum` to `maximum`, both inclusive.

    `tokenizer` is a folder with a `tokenizer.json` in it, or a model's name on the hub. Raises `InputError` where the
    folder has none, and at the first measurement where the hub has none.
    """
    own = _own_file(tokenizer)

    def measure(samples: pl.DataFrame) -> pl.Series:
        texts = samples.select(text(part).alias("text"))["text"]
        present = texts.drop_nulls()
        counts = pl.Series(_counts(_tokenizer(tokenizer), present.to_list()), dtype=pl.Float64)
        at = pl.Series(range(len(texts)), dtype=pl.Int64).filter(texts.is_not_null())
        return (
            pl.Series([None] * len(texts), dtype=pl.Float64).scatter(at, counts)
            if len(present)
            else texts.cast(pl.Float64)
        )

    return Rule(measure, minimum, maximum, files=() if own is None else (str(own),))


def _counts(tokenizer: Any, texts: list[str]) -> Iterable[int]:
    for start in range(0, len(texts), BATCH):
        batch = tokenizer.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False)
        yield from map(len, batch)


def _own_file(name: str) -> Path | None:
    """Give the tokenizer's file where `name` is a folder; raises `InputError` where that has none, or isn't there."""
    folder = Path(name)
    if folder.is_dir() and not (folder / "tokenizer.json").is_file():
        raise InputError(f"{name}: the folder holds no tokenizer.json; save the tokenizer there in its fast form")
    if not folder.is_dir() and (folder.is_absolute() or name.startswith(".")):
        raise InputError(f"{name}: there is no such folder; expected one with a tokenizer.json in it")
    return folder / "tokenizer.json" if folder.is_dir() else None


def _tokenizer(name: str) -> Any:
    """Load a tokenizer that neither cuts nor pads."""
    from huggingface_hub import hf_hub_download
    from tokenizers import Tokenizer

    try:
        found = _own_file(name) or hf_hub_download(name, "tokenizer.json")
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r} is no folder, and the hub gives no tokenizer.json for it: {error}") from error
    tokenizer = Tokenizer.from_file(str(found))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
