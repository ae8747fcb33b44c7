"""What requests to a model are likely to cost: tokens in and out, seconds, money."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson
import sqlalchemy as sql

from generators.budget import Price
from generators.ledger import ANSWERS, Ledger
from generators.messages import messages, tools
from pipelines.closing import NO_FIGURE, aligned, duration, number, visible
from pipelines.grow import TRIES
from pipelines.sections import EnginePart
from pipelines.store import MANIFEST
from schemas.engines import Engine, Request

BYTES_PER_TOKEN = 4  # of English prose, where there is no tokenizer to ask
LOOKED_AT = 2_000  # answers of a model by which the length of the next is guessed


@dataclass
class Model:
    """A recipe's engine as far as it can be known without asking it anything."""

    part: EnginePart
    engine: Engine
    ledger: Ledger
    out: Path  # where runs lie, whose manifests tell how quick the engine was

    @property
    def price(self) -> Price | None:
        """What a million tokens cost, where the recipe says so."""
        return Price(self.part.price.prompt, self.part.price.reply) if self.part.price else None

    @cached_property
    def tokenizer(self) -> Callable[[Request], int] | None:
        """Counts a prompt's tokens by the model's own tokenizer and template, where the model is a folder here."""
        folder = Path(str(self.part.arguments.get("model", "")))
        if not (folder / "tokenizer_config.json").is_file():
            return None
        from transformers import AutoTokenizer

        own = AutoTokenizer.from_pretrained(folder)

        def count(request: Request) -> int:
            text = own.apply_chat_template(
                messages(request),
                tools=tools(request),  # type: ignore[arg-type] # a list of dicts is what it takes
                tokenize=False,
                add_generation_prompt=True,
            )
            return len(own.encode(text, add_special_tokens=False))

        return count

    def tokens_in(self, requests: Sequence[Request]) -> float:
        """Give the mean of the requests' tokens, measured where there is a tokenizer, else estimated."""
        if self.tokenizer:
            return fmean(map(self.tokenizer, requests))
        said = [sum(len(turn["content"].encode()) for turn in one.chat) + len(one.tools or "") for one in requests]
        return fmean(said) / BYTES_PER_TOKEN

    @cached_property
    def answered(self) -> list[tuple[int, int]]:
        """The tokens that this model's answers in the ledger might have had at most, and had."""
        own = (ANSWERS.c.model == self.engine.model) & (ANSWERS.c.revision == self.engine.revision)
        rows = sql.select(ANSWERS.c.request, ANSWERS.c.reply).where(own).limit(LOOKED_AT)
        with self.ledger.engine.connect() as connection:
            pairs = [(orjson.loads(request), orjson.loads(reply)) for request, reply in connection.execute(rows)]
        return [
            (request["sampling"]["max_tokens"], reply["reply_tokens"])
            for request, reply in pairs
            if reply["reply_tokens"] is not None
        ]

    def tokens_out(self, bound: int) -> tuple[float, bool]:
        """Give the tokens of an answer that may have `bound`, and whether the ledger's answers say so, or only that."""
        same = [had for most, had in self.answered if most == bound] or [min(had, bound) for _, had in self.answered]
        return (fmean(same), True) if same else (float(bound), False)

    @cached_property
    def speed(self) -> tuple[float | None, float | None]:
        """Seconds a token of a reply and seconds a request, as earlier runs' stages measured them; null where none."""
        seconds = tokens = asked = 0.0
        for file in self.out.glob(f"**/stages/*/{MANIFEST}"):
            told = orjson.loads(file.read_bytes())
            facts = told["facts"]
            if told["question"].get("model") == [self.engine.model, self.engine.revision] and facts.get("asked"):
                seconds += facts.get("engine_seconds", 0.0)
                tokens += facts.get("new_tokens", 0)
                asked += facts["asked"] if "engine_seconds" in facts else 0
        return seconds / tokens if tokens else None, seconds / asked if asked else None

    def seconds(self, requests: int, tokens: float) -> float | None:
        """Give the seconds that so many requests with so many reply tokens together will take."""
        by_token, by_request = self.speed
        if by_token is not None:
            return by_token * tokens
        return None if by_request is None else by_request * requests


def words(told: dict[str, Any]) -> str:
    """Give a plan as a plain table, and under it what its figures rest on."""
    heads = ("stage", "rows", "requests", "in the ledger", "to ask", "tokens in", "tokens out", "time", "cost")
    rows = [heads, *map(_line, told["stages"]), _line({"stage": "all", "rows": None, "rows_exact": True, **told})]
    return "\n".join([*aligned(rows, words=1), "", *map(visible, _notes(told))])


def _line(stage: dict[str, Any]) -> tuple[str, ...]:
    rows = "" if stage["rows"] is None else ("" if stage["rows_exact"] else "<= ") + number(stage["rows"])
    counts = (number(stage[key]) for key in ("requests", "held", "to_ask", "prompt_tokens", "reply_tokens"))
    cost = NO_FIGURE if stage["cost"] is None else f"{stage['cost']:,.2f}"
    return (stage["stage"], rows, *counts, duration(stage["seconds"]), cost)


def _notes(told: dict[str, Any]) -> list[str]:
    return [*_of_later_rounds(told["later_rounds"]), *_of_the_table(told)]


def _of_later_rounds(later: dict[str, int] | None) -> Iterator[str]:
    if later and later["most"]:
        rounds, requests = number(later["most"]), number(later["requests"])
        yield (
            f"loop: this is its first round; up to {rounds} more ask about {requests} requests each, of the policy "
            "trained by then: none of those is in the ledger before its round has run"
        )


def _of_the_table(told: dict[str, Any]) -> list[str]:
    notes = dict.fromkeys(note for stage in told["stages"] for model in stage["models"] for note in _grounds(model))
    if not all(stage["rows_exact"] for stage in told["stages"]):
        notes["<= rows: as many if what is not answered yet, or not compared, drops none"] = None
    for judge in told["in_rounds"] if told["to_ask"] else ():
        notes[f"{judge}: where it asks again because of an answer, that is not counted"] = None
    for judge in told["supposed"] if told["to_ask"] else ():
        notes[f"{judge}: what it asks because of an answer that is not known is counted at its most"] = None
    if any(stage["to_ask"] for stage in told["stages"] if stage["stage"].startswith("grow ")):
        notes[
            "grow: estimated as if each answer not known yet could be read and repeated nothing, and no rule dropped "
            f"its prompt; else up to {TRIES} times the requests"
        ] = None
    return list(notes) if told["to_ask"] else ["every answer is in the ledger: nothing will be asked"]


def _grounds(model: dict[str, Any]) -> Iterator[str]:
    name = model["model"]
    yield (
        f"{name}: tokens in counted by its tokenizer on a sample"
        if model["prompt_tokens_by"] == "tokenizer"
        else f"{name}: tokens in estimated at {BYTES_PER_TOKEN} bytes each, for want of its tokenizer"
    )
    yield (
        f"{name}: tokens out as its answers in the ledger have them"
        if model["reply_tokens_by"] == "ledger"
        else f"{name}: tokens out are an upper bound, max_tokens: no answer in the ledger counts its own"
    )
    if model["seconds"] is None:
        yield f"{name}: no time, for no run has measured its speed"
    if model["cost"] is None:
        yield f"{name}: no cost, for the recipe states no price"
