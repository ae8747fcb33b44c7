"""A row's life as a page: for the terminal and as HTML."""

from math import inf
from typing import Any

from pipelines import origin
from pipelines.closing import keeps, measured, number, shortened
from pipelines.page import Block, Cell, code, figures, heading, note, table, words

LONG, LINES = 4_000, 100  # characters and lines of a text
MATCHES = 20
DRAWN = ("temperature", "top_p", "max_tokens", "seed", "prompt_tokens", "reply_tokens", "logprob")
ROLES = {
    "sft": "learned",
    "plain": "learned, as plain texts",
    "grpo": "a prompt to draw replies to",
    "preferences": "chosen over rejected",
}

Told = dict[str, Any]


def page_of(told: Told) -> Block:
    """Give the page of what `trace` told."""
    made = {"Quarantined": _quarantined(told["quarantined"])} if "quarantined" in told else _sections(told)
    return {
        "name": f"{told['asked']} in {told['name']}",
        "facts": f"version {told['run']}",
        "result": "It is " + ", ".join(sorted({f"a {one['kind']} ({one['id']})" for one in told["found"]})) + ".",
        "sections": [{"title": title, "id": title.lower(), "blocks": blocks} for title, blocks in made.items()],
    }


def _quarantined(rows: list[Told]) -> list[Block]:
    facts: list[list[Cell]] = []
    for row in rows:
        facts += [["Reason", code(row["reason"])], ["Place", code(f"{row['file']}:{row['row']}")]]
        facts.append(["Offset, bytes", "not told" if row["offset"] is None else number(row["offset"])])
        facts.append(["Hash (XXH3) of the record", code(row["hash"])])
    return [figures(facts), _texts([("raw", row["raw"]) for row in rows])]


def _sections(told: Told) -> dict[str, list[Block]]:
    return {
        "Origin": _origin(told),
        "Rules": _rules(told),
        "Candidates": _candidates(told),
        "Selection": _selection(told),
    }


def _texts(texts: list[tuple[str, str | None]], facts: list[Cell] | None = None) -> Block:
    shown = [(name, "(none)" if text is None else shortened(text, LONG, LINES) or "(empty)") for name, text in texts]
    return {"kind": "examples", "items": [{"facts": facts or [], "texts": shown}], "more": []}


def _said(chat: list[Told]) -> str:
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in chat)


def _origin(told: Told) -> list[Block]:
    row, read = told["sample"], told["read"]
    facts: list[list[Cell]] = [
        ["Sample", code(row["id"])],
        ["Source", code(row["source"])],
        ["Licence", code(row["license"] or "not stated")],
        ["File and row, from 0", code(f"{row['origin']['file']}:{row['origin']['row']}")],
    ]
    lies = [] if told["grown"] else _lies(row, read)
    for one in told["grown"]:
        facts += [["Made by", code(one["method"])], *(["Made from", code(parent)] for parent in one["parents"] or [])]
    facts += [["Became", code(child)] for child in told["children"]]
    texts = [("prompt", _said(row["prompt"])), *((name, row[name]) for name in ("reply", "reference", "check"))]
    texts += [(f"reply, ranked {number(one['score'])}", one["text"]) for one in row["replies"] or []]
    return [note("trace_origin"), figures(facts), *lies, _texts(texts), *_edits(told)]


def _lies(row: Told, read: Told | None) -> list[Block]:
    """Tell where the row lies in its file, and show it as it lies there."""
    place = origin.found(row["origin"], read)
    facts: list[list[Cell]] = [["File", place["state"]]]
    if read:
        facts += [["SHA-256 of the file", code(read["sha256"])], ["Layout", code(read["layout"] or "none")]]
    facts += [[name.capitalize(), number(place[name])] for name in ("line", "offset") if place.get(name) is not None]
    return [figures(facts), *([_texts([("as it lies in the file", place["raw"])])] if "raw" in place else [])]


def _edits(told: Told) -> list[Block]:
    if not told["edits"]:
        return [words("No edit changed it.")]
    rows = [[code(one["use"]), one["part"], code(one["kind"]), number(one["count"])] for one in told["edits"]]
    before = told["before"]
    was = [_texts([("prompt before the edits", _said(before["prompt"])), ("reply before them", before["reply"])])]
    return [heading("Edits"), table(["Edit", "Part", "Kind", "Places"], rows, "3"), *(was if before else [])]


def _rules(told: Told) -> list[Block]:
    sample, fell = told["sample"]["id"], told["dropped"]
    rows = [[code(rule["rule"]), keeps(rule), _measured(rule), _verdict(rule, told)] for rule in told["rules"]]
    matches = [
        [code(rule["rule"]), code(_other(one, sample)), number(one["measured"]), code(one["span"] or "not told", 80)]
        for rule in told["rules"]
        for one in rule.get("matches", [])[:MATCHES]
    ]
    blocks = [table(["Rule", "Keeps", "Measured", ""], rows, "2")] if rows else [note("no_rules")]
    blocks += [table(["Rule", "Is like", "Likeness", "In"], matches, "2")] if matches else []
    last = ["It was dropped: ", code(fell["rule"]), ", ", code(fell["why"]), "."] if fell else ["It was kept."]
    return [*blocks, words(*last)]


def _other(match: Told, sample: str) -> str:
    return str(match["other"] if match["id"] == sample else match["id"])


def _measured(rule: Told) -> Cell:
    if rule["gone"]:
        return "deleted since"
    if "matches" not in rule:
        return "not measurable" if rule["value"] is None else _value(rule["value"])
    found = rule["matches"]
    return number(found[0]["measured"]) if found else "like none"


def _value(value: float) -> str:
    return "never picked" if value == inf else measured(value)


def _verdict(rule: Told, told: Told) -> str:
    fell = told["dropped"]
    if fell and fell["rule"] == rule["rule"]:
        return "dropped by this"
    return "broke this too" if fell and rule["rule"] in (fell["also"] or []) else "kept"


def _candidates(told: Told) -> list[Block]:
    if not told["candidates"]:
        return [words("It has no candidates.")]
    shown = [block for one in told["candidates"] for block in (_candidate(one), *_judged(one["id"], told))]
    return [note("trace_candidates"), *shown, *_compared(told["comparisons"])]


def _candidate(one: Told) -> Block:
    drawn = [f"{key.replace('_', ' ')} {number(one[key])}" for key in DRAWN if one[key] is not None]
    ended = code(one["finish_reason"] or one["why"] or "not told")
    facts = [code(one["id"]), " by ", code(one["model"]), ", ended by ", ended, "".join(f", {said}" for said in drawn)]
    return _texts([("candidate", one["text"])], facts)


def _judged(candidate: str, told: Told) -> list[Block]:
    scores = [
        [
            code(one["judge"]),
            number(one["score"]),
            code(one["status"] or ""),
            code(one["extracted"] or one["why"] or ""),
        ]
        for one in told["scores"]
        if one["candidate_id"] == candidate
    ]
    spoken = [
        _texts([(f"{one['judge']} said", answer) for answer in one["answers"] or []])
        for one in told["judgments"]
        if one["candidate_id"] == candidate and one["answers"]
    ]
    return [*([table(["Judge", "Score", "Status", "Found"], scores, "1")] if scores else []), *spoken]


def _found(one: Told) -> Cell:
    return code(one["extracted"] or one["why"] or "nothing")


def _compared(comparisons: list[Told]) -> list[Block]:
    rows = [
        [code(one["judge"]), code(one["a_id"]), code(one["b_id"]), number(one["score"]), code(one["status"] or "")]
        for one in comparisons
    ]
    for row, one in zip(rows, comparisons, strict=True):
        row += [code(one[side] or "nothing", 60) for side in ("a_first", "b_first")]
    columns = ["Judge", "A", "B", "Score", "Status", "A first", "B first"]
    return [heading("Comparisons"), note("trace_comparisons"), table(columns, rows, "3")] if rows else []


def _selection(told: Told) -> list[Block]:
    leaked = [
        words("Left out, because it gives a benchmark away: ", code(one["candidate_id"]), ", ", code(one["why"]))
        for one in told["leaked"]
    ]
    if not told["rows"]:
        return [*leaked, words("No dataset has a row of it.")]
    rows = [[one["dataset"], one["split"], code(one["id"]), *_picked(one)] for one in told["rows"]]
    return [*leaked, table(["Dataset", "Split", "Row", "As", "Candidates", "Score or margin", "Picked by"], rows, "5")]


def _picked(one: Told) -> list[Cell]:
    """Say as what a dataset's row was picked, which candidates it holds, by how much and by what."""
    ids = [one[key] for key in ("candidate_id", "chosen_id", "rejected_id") if key in one]
    role = ROLES.get(one["dataset"]) or ("good" if one.get("label") else "bad")
    value = one.get("margin", one.get("score"))
    return [role, code(" ".join(ids) or "none"), "" if value is None else number(value), code(one.get("rule") or "")]
