"""New prompts out of the samples there are or out of nothing, before the rules: they meet the same rules as the others.

Each part's growths are asked in waves, all through the ledger, until the count is reached or the tries are used up.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from generators.ledger import Ledger
from generators.texts import FOLDER
from pipelines.curate import names
from pipelines.growths import PAID, Asking, Grown, Parents
from pipelines.sections import PromptPart
from pipelines.store import Stored, Writer, once, sha256, shards, write_table
from pipelines.versions import part_version
from schemas.chats import Chat, content_id
from schemas.engines import Engine
from schemas.prompts import LINEAGE, UNREAD, Draft, Unread
from schemas.tables import SAMPLES

TRIES = 3  # growths for each one that would do if every answer could be read and repeated nothing
WAVE = 2_000  # growths asked together at most

Row = dict[str, Any]


def grow(
    store: Path,
    samples: Stored,
    kept: Stored | None,
    parts: Sequence[PromptPart],
    *,
    seed: int,
    engines: Mapping[str, Engine],
    ledger: Ledger,
    progress: Callable[[int, int], None],
) -> Stored:
    """Make the tables `samples` (those given, then the new ones), `lineage` of the new ones, and `unread`.

    Parents are the samples that the recipe's rules `kept`: out of a row that leaks a benchmark comes a prompt that
    leaks it in other words. A new sample has no reference, and a reply or check only where its part gives one; its
    source is the part, its licence its parents', all of them, null where one is not known. What can't be read, repeats
    another prompt, met an error or is more than the count is in `unread` with the reason. Raises `RecipeError` for a
    part that starts from samples and finds none of its kind.
    """
    models = [[engines[part.engine].model, engines[part.engine].revision] if part.engine else None for part in parts]
    question = {
        "samples": samples.key,
        "kept": kept.key if kept else None,
        "prompts": [part.model_dump() for part in parts],
        "seed": seed,
        "models": models,
        "texts": [sha256(file) for file in sorted(FOLDER.iterdir())],
        "files": [sha256(Path(file)) for part in parts for file in part.build().files],
        "code": part_version(*(part.use.partition(":")[0] for part in parts), "schemas.prompts", "pipelines.growths"),
        "stage": part_version(__name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        ground = Ground(samples, kept)
        told: list[dict[str, Any]] = []
        for use, part in zip(names(parts), parts, strict=True):
            name = f"{seed if part.seed is None else part.seed}/{use}"
            asking = Asking(part, part.build(), engines.get(part.engine or ""), ledger)
            parents = Parents(name, part, asking.grower, partial(ground.parents, part.parents, asking.grower.fits))
            told.append(Plot(asking, parents, ground).fill(progress))
        _write(folder, ground)
        paid = {key: sum(one[key] for one in told) for key in PAID}
        return {"new": len(ground.rows), "unread": len(ground.unread), "methods": told, **paid}

    return once(store, "grow", question, build)


@dataclass
class Ground:
    """The samples given, and what all parts have grown so far; held in memory, as is a hash of every prompt."""

    given: Stored
    kept: Stored | None
    rows: list[Row] = field(default_factory=list)
    lineage: list[Row] = field(default_factory=list)
    unread: list[Row] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # the ids of the samples by what they ask

    def __post_init__(self) -> None:
        for shard in self.shards():
            self.known.update(zip(map(said, shard["prompt"].to_list()), shard["id"].to_list(), strict=True))

    def shards(self) -> Iterator[pl.DataFrame]:
        """Give the samples given, a shard at a time."""
        yield from shards(self.given, "samples", SAMPLES)

    def parents(self, which: str, fits: pl.Expr | None) -> Iterator[pl.DataFrame]:
        """Give the samples that fit: the kept ones ("data"), those that earlier parts made ("new") or both ("all")."""
        if which != "new" and self.kept is not None:
            yield from (_fitting(shard, fits) for shard in shards(self.kept, "kept", SAMPLES))
        if which != "data":
            yield _fitting(pl.DataFrame(self.rows, schema=SAMPLES), fits)


def _fitting(table: pl.DataFrame, fits: pl.Expr | None) -> pl.DataFrame:
    return table if fits is None else table.filter(fits)


def said(prompt: Iterable[Mapping[str, Any]]) -> str:
    """Name what a prompt asks: its roles and words, whatever their case and the blanks between them."""
    return content_id([[turn["role"], *turn["content"].casefold().split()] for turn in prompt])


@dataclass
class Plot:
    """One part's new prompts being grown."""

    asking: Asking
    parents: Parents
    ground: Ground
    rows: list[Row] = field(default_factory=list)
    tried: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def fill(self, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Grow until there are as many as the recipe wants or a round's tries are used up; gives what was counted."""
        part, grower = self.asking.part, self.asking.grower
        before: list[Row] = []
        for number in range(1, grower.rounds + 1):
            start, target = len(self.rows), _ceiling(part.count * number, grower.rounds)
            tries = TRIES * _ceiling(target - start, grower.drafts)
            while len(self.rows) < target and tries:
                wave = min(tries, WAVE, _ceiling(target - len(self.rows), grower.drafts))
                numbers = range(self.tried, self.tried + wave)
                for grown in self.asking(self.parents.growths(numbers, before)):
                    self._read(grown, number, target)
                self.tried, tries = self.tried + wave, tries - wave
                progress(len(self.rows), part.count)
            before = self.rows[start:]
        return self._facts()

    def _read(self, grown: Grown, number: int, target: int) -> None:
        growth = grown.growth
        told = {
            "method": self.asking.part.use,
            "parents": [parent["id"] for parent in growth.parents],
            "round": number,
            "seed": growth.seed,
            "request_keys": grown.keys,
        }
        if grown.error is not None:
            self._refuse(told, "error", grown.error, None)
            return
        for draft in self.asking.grower.read(growth):
            if isinstance(draft, Unread):
                self._refuse(told, "unread", draft.why, growth.replies[-1].text if growth.replies else None)
            else:
                self._take(told, draft, target)

    def _take(self, told: Row, draft: Draft, target: int) -> None:
        name = said(draft.prompt)
        if name in self.ground.known:
            self._refuse(told, "repeat", f"repeats the prompt of {self.ground.known[name]}", _words(draft.prompt))
        elif len(self.rows) == target:
            self._refuse(told, "surplus", "more than the round's share of the count", _words(draft.prompt))
        else:
            row = self._row(told, draft)
            self.ground.known[name] = row["id"]
            self.ground.lineage.append({"id": row["id"], **told})
            self.ground.rows.append(row)
            self.rows.append(row)

    def _row(self, told: Row, draft: Draft) -> Row:
        use = self.asking.part.use
        return dict.fromkeys(SAMPLES) | {
            **asdict(draft),
            "id": content_id("new prompt", use, draft.prompt),  # shorter than those of ingest: it is none of them
            "source": use,
            "license": self.parents.license(told["parents"]),
            "origin": {"file": use, "row": len(self.rows)},
        }

    def _refuse(self, told: Row, status: str, why: str, text: str | None) -> None:
        self.statuses[status] += 1
        self.reasons[why if status in {"unread", "error"} else status] += 1
        self.ground.unread.append({**told, "status": status, "why": why, "text": text})

    def _facts(self) -> dict[str, Any]:
        return {
            "use": self.asking.part.use,
            "wanted": self.asking.part.count,
            "new": len(self.rows),
            "growths": self.tried,
            **{status: self.statuses[status] for status in ("unread", "error", "repeat", "surplus")},
            "reasons": dict(self.reasons.most_common(10)),
            **self.asking.paid,
        }


def _ceiling(part: int, whole: int) -> int:
    return -(-part // whole)


def _words(prompt: Chat) -> str:
    return "\n\n".join(turn["content"] for turn in prompt)


def _write(folder: Path, ground: Ground) -> None:
    with Writer(folder, "samples", SAMPLES) as table:
        for shard in ground.shards():
            table.write(shard)
        table.write(pl.DataFrame(ground.rows, schema=SAMPLES))
    write_table(folder, "lineage", pl.DataFrame(ground.lineage, schema=LINEAGE), LINEAGE)
    write_table(folder, "unread", pl.DataFrame(ground.unread, schema=UNREAD), UNREAD)
