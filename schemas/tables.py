"""The tables: one `pl.Schema` a point in the pipeline, and `check`, which holds a frame to one."""

from typing import TypedDict

import polars as pl

from schemas.chats import Chat
from schemas.errors import StoreError

MESSAGE = pl.Struct({"role": pl.String(), "content": pl.String(), "tool_calls": pl.String()})
CHAT = pl.List(MESSAGE)
PLAIN_CHAT = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))

SAMPLES = pl.Schema(
    {
        "id": pl.String(),
        "prompt": CHAT,  # the messages up to the reply wanted
        "reply": pl.String(),  # the one that came with the data, or null
        "weight": pl.Float64(),  # how much the reply counts in training, as the data says; null is 1
        "replies": pl.List(pl.Struct({"text": pl.String(), "score": pl.Float64()})),  # others that came with the data,
        # and how good the data says they are (the higher the better, `reply` among them); null where it says nothing
        "reference": pl.String(),  # the gold answer, or null
        "check": pl.String(),  # JSON: which verifier (`use`), with which arguments; or null
        "tools": pl.String(),  # JSON: the tools on offer; or null
        "source": pl.String(),
        "license": pl.String(),
        "origin": pl.Struct({"file": pl.String(), "row": pl.Int64()}),  # row from 0
    }
)

QUARANTINED = pl.Schema(
    {
        "source": pl.String(),
        "file": pl.String(),
        "row": pl.Int64(),  # from 0, in the file
        "offset": pl.Int64(),  # bytes from the start of the file; null where the format has none
        "reason": pl.String(),
        "hash": pl.String(),  # XXH3 of 128 bits of the raw bytes, 32 hexadecimal digits
        "raw": pl.String(),  # their first 300 bytes, cut between characters, undecodable ones escaped
    }
)

EDITS = pl.Schema(
    {
        "id": pl.String(),
        "use": pl.String(),  # the edit
        "part": pl.String(),  # "prompt", "reply" or "replies"
        "kind": pl.String(),  # what was changed: "email"
        "count": pl.Int64(),
    }
)

DROPPED = pl.Schema(
    {
        **SAMPLES,
        "rule": pl.String(),  # the first rule in the recipe's order that the row broke
        "measured": pl.Float64(),
        "minimum": pl.Float64(),
        "maximum": pl.Float64(),
        "why": pl.String(),
        "match": pl.String(),  # the row it duplicates (`duplicate_of`) or the benchmark row it leaks; or null
        "cluster": pl.String(),  # the first row of those it hangs together with; or null
        "span": pl.String(),  # the matching text; or null
        "also": pl.List(pl.String()),  # the later rules it broke too
    }
)

CANDIDATES = pl.Schema(
    {
        "id": pl.String(),
        "sample_id": pl.String(),
        "text": pl.String(),  # null when the engine failed: see status and why
        "model": pl.String(),
        "revision": pl.String(),
        "request_key": pl.String(),  # null for the reply that came with the data
        "sample": pl.Int64(),  # which of the prompt's candidates, from 0
        "temperature": pl.Float64(),
        "top_p": pl.Float64(),
        "max_tokens": pl.Int64(),
        "seed": pl.Int64(),
        "finish_reason": pl.String(),
        "prompt_tokens": pl.Int64(),
        "reply_tokens": pl.Int64(),
        "logprob": pl.Float64(),
        "status": pl.String(),  # "answered" or "error"
        "why": pl.String(),
    }
)

SCORES = pl.Schema(
    {
        "sample_id": pl.String(),
        "candidate_id": pl.String(),
        "judge": pl.String(),
        "score": pl.Float64(),
        "status": pl.String(),
        "why": pl.String(),
        "extracted": pl.String(),
    }
)

COMPARISONS = pl.Schema(
    {
        "sample_id": pl.String(),
        "a_id": pl.String(),
        "b_id": pl.String(),
        "judge": pl.String(),
        "score": pl.Float64(),  # 1 a is better, -1 b is better, 0 a tie, null no verdict
        "status": pl.String(),
        "why": pl.String(),
        "a_first": pl.String(),  # the judge's own answer with a in the first place
        "b_first": pl.String(),  # and with b in the first place
        "prompt_tokens": pl.Int64(),
        "reply_tokens": pl.Int64(),
    }
)

JUDGMENTS = pl.Schema(  # what each member of a judge of replies, or of a jury, said
    {
        "sample_id": pl.String(),
        "candidate_id": pl.String(),  # of a pair: the first
        "other_id": pl.String(),  # of a pair: the second; else null
        "judge": pl.String(),
        "member": pl.Int64(),  # from 0
        "score": pl.Float64(),
        "status": pl.String(),
        "why": pl.String(),
        "extracted": pl.String(),
        "answers": pl.List(pl.String()),  # one text a question
        "prompt_tokens": pl.Int64(),
        "reply_tokens": pl.Int64(),
    }
)

SFT = pl.Schema(
    {
        "id": pl.String(),
        "prompt": CHAT,
        "completion": CHAT,
        "sample_id": pl.String(),
        "candidate_id": pl.String(),
        "score": pl.Float64(),
        "generator": pl.String(),
        "judge": pl.String(),
        "rule": pl.String(),
        "source": pl.String(),
        "license": pl.String(),
    }
)

PREFERENCES = pl.Schema(
    {
        "id": pl.String(),
        "prompt": CHAT,
        "chosen": CHAT,
        "rejected": CHAT,
        "sample_id": pl.String(),
        "chosen_id": pl.String(),
        "rejected_id": pl.String(),
        "chosen_score": pl.Float64(),
        "rejected_score": pl.Float64(),
        "margin": pl.Float64(),
        "chosen_generator": pl.String(),
        "rejected_generator": pl.String(),
        "judge": pl.String(),
        "rule": pl.String(),
        "source": pl.String(),
        "license": pl.String(),
    }
)

PLAIN = pl.Schema(  # of `SFT`, where the prompt is one turn by the user
    {
        "id": pl.String(),
        "prompt": pl.String(),
        "completion": pl.String(),
        "sample_id": pl.String(),
        "candidate_id": pl.String(),
        "source": pl.String(),
        "license": pl.String(),
    }
)

UNPAIRED = pl.Schema({**SFT, "label": pl.Boolean()})  # true: picked for SFT or chosen; false: rejected

GRPO = pl.Schema(
    {
        "id": pl.String(),  # the sample's
        "prompt": CHAT,
        "check": pl.String(),  # JSON: which verifier (`use`), with which arguments; or null
        "reference": pl.String(),  # the gold answer, or null
        "source": pl.String(),
        "license": pl.String(),
    }
)

LEAKED = pl.Schema(
    {
        "candidate_id": pl.String(),
        "sample_id": pl.String(),
        "text": pl.String(),
        "generator": pl.String(),
        "picked": pl.List(pl.String()),  # as what: "sft", "chosen", "rejected"; empty: it was kept from a pick
        "rule": pl.String(),
        "measured": pl.Float64(),
        "maximum": pl.Float64(),
        "match": pl.String(),  # the benchmark's row, "file:row"
        "span": pl.String(),
        "why": pl.String(),
    }
)


OVERRIDDEN = pl.Schema(  # what a rule of selection picked and people said otherwise of
    {
        "sample_id": pl.String(),
        "candidate_id": pl.String(),  # the chosen, or the reply picked for SFT
        "rejected_id": pl.String(),  # of a pair; else null
        "done": pl.String(),  # "flipped" or "removed"
        "verdict": pl.String(),  # what most people said: "rejected is better", "no preference", "bad"
        "people": pl.List(pl.String()),
        "votes": pl.List(pl.String()),  # by person, in the words of a review; "a" and "b" are its ids in order
        "notes": pl.List(pl.String()),  # by person, empty without one
        "score": pl.Float64(),  # the judges', of a pair its margin
        "judge": pl.String(),
        "rule": pl.String(),  # that had picked it
    }
)


class Ranked(TypedDict):
    """A reply that came with the data, and how good the data says it is."""

    text: str
    score: float | None


class Sample(TypedDict):
    """A row of `SAMPLES`, as a verifier sees it."""

    id: str
    prompt: Chat
    reply: str | None
    reference: str | None
    check: str | None
    replies: list[Ranked] | None


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Give the table with chats of role and content alone where no message of it holds a tool call.

    Chat templates tell by the key's presence whether there are tool calls: a null under it makes some of them fail.
    """
    chats = [column for column, kind in frame.schema.items() if kind == CHAT]
    calls = [pl.col(column).list.eval(pl.element().struct.field("tool_calls").is_not_null()) for column in chats]
    if chats and frame.select(pl.any_horizontal(call.list.any().any() for call in calls)).item():
        return frame
    return frame.with_columns(pl.col(column).cast(PLAIN_CHAT) for column in chats)


def plain_schema(schema: pl.Schema) -> pl.Schema:
    """Give the schema that `plain` leaves where there are no tool calls."""
    return pl.Schema({column: PLAIN_CHAT if kind == CHAT else kind for column, kind in schema.items()})


def check(frame: pl.DataFrame, schema: pl.Schema, name: str) -> pl.DataFrame:
    """Give `frame` back when its columns and types are `schema`'s, in order, else raise `StoreError`."""
    if frame.schema == schema:
        return frame
    wrong = [
        f"{column}: {frame.schema.get(column, 'missing')} instead of {schema.get(column, 'no such column')}"
        for column in dict.fromkeys([*schema, *frame.columns])
        if frame.schema.get(column) != schema.get(column)
    ]
    raise StoreError(f"table {name}: {'; '.join(wrong) or 'its columns are in another order'}")
