import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipelines import candidate_figures, charts, figures, pair_figures, report, sample_figures
from pipelines.closing import visible
from pipelines.run_tables import Tables
from schemas.rules import MATCHES
from schemas.tables import (
    CANDIDATES,
    COMPARISONS,
    DROPPED,
    LEAKED,
    PREFERENCES,
    QUARANTINED,
    SAMPLES,
    SCORES,
    SFT,
)

POISON = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></pre></code><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}{# no #}",
    "[a](javascript:alert(1)) ![b](https://example.org/b.png) <https://example.org>",
    "```\n# heading\n```\n~~~\n<b>bold</b>",
    "`````` `\n\n## heading",
    "| a | b |\n|---|---|\n| `|` | \\| |",
    "\\`<i>\\",
    "<!-- comment\n]]> <![CDATA[",
    "&lt;script&gt;&#60;b&#62;",
    "    indented\n\n- item\n1. item\n> quote\n---\n***",
    "\u202eright to left\u2066\u200b\ufeff\x00\r\u2028<br>",
    "*bold* _italic_ ~~gone~~ **\n\n***",
    " ",
]
TAGS = r"""(?x)html|head|meta|title|style|body|header|h[1-4]|p|nav|a|main|section|div|table|thead|tbody|tr|th|td|
span|code|figure|article|details|summary|pre|svg|g|path|rect|line|text"""
ATTRIBUTES = r"""(?x)lang|charset|name|content|http-equiv|class|id|href|scope|style|role|aria-[a-z]+|
xmlns(:xlink)?|version|width|height|viewbox|fill|stroke(-[a-z]+)?|transform|d|pointer-events|display|
[xy]2|opacity|text-anchor|font-[a-z]+"""


class Seen(HTMLParser):
    """Notes the tags, attributes and texts of a page; `outline` is the tags outside drawings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.outline: list[str] = []
        self.drawing = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and its attributes."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.drawing = self.drawing or tag == "svg"
        if not self.drawing:
            self.outline.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note a drawing's end."""
        self.drawing = self.drawing and tag != "svg"

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        """There is no comment in a report."""
        raise AssertionError(data)


class Words(NamedTuple):
    """Every text of a run that somebody else wrote."""

    prompt: str = "How much is 2 + 3?"
    good: str = "2 + 3 = 5"
    bad: str = "2 + 3 = 6, I think"
    source: str = "sums"
    license: str = "MIT"
    file: str = "data/sums.jsonl"
    reason: str = "line 3 is not JSON"
    span: str = "how much is"
    model: str = "tiny"
    judge: str = "judges.pairwise:better"
    rule: str = "filters.length:words"


def all_of(text: str) -> Words:
    other = f"{text}! These {len(text)} other words differ from what was said above, which is good: nine of ten do."
    return Words(*[text] * 11)._replace(bad=other)


def made(words: Words) -> tuple[dict[str, Any], Tables]:
    """Give a small run with everything in it: 20 samples, 18 kept, each with a passing and a failing candidate."""
    rows = [f"s{at:02}" for at in range(20)]
    told = {"prompt": [{"role": "user", "content": words.prompt}], "source": words.source, "license": words.license}
    sample = told | {"reply": words.good, "origin": {"file": words.file, "row": 0}}
    short = {"id": "s18", "rule": words.rule, "measured": 1.0, "also": []}
    twin = {"id": "s19", "rule": "filters.duplicates:near", "measured": 0.9, "match": "s00", "span": words.span}
    bad = {"source": words.source, "file": words.file, "row": 1_234, "offset": 56_789, "reason": words.reason}
    both = [(f"{row}{side}", row, side) for row in rows[:18] for side in "gb"]
    learned = told | {"completion": [{"content": words.good}], "generator": words.model + "g", "score": 1.0}
    leak: dict[str, Any] = {
        "candidate_id": "s00g",
        "text": words.good,
        "picked": ["sft"],
        "rule": words.rule,
        "span": words.span,
    }
    leak |= {"match": words.file, "measured": 1.0}
    alike = [{"id": "s19", "other": "s00", "measured": 0.9, "span": words.span}]
    alike += [{"id": "s02", "other": words.file, "measured": 0.5, "span": words.span}]
    pair = told | {"chosen": [{"content": words.good}], "rejected": [{"content": words.bad}], "margin": 1.0}
    pair |= {"chosen_generator": words.model + "g", "rejected_generator": words.model + "b"}
    samples = pl.DataFrame([sample | {"id": row} for row in rows], schema=SAMPLES)
    dropped = pl.DataFrame([sample | short, sample | twin | {"also": [words.rule]}], schema=DROPPED)
    candidates = pl.DataFrame(
        [
            {"id": one, "sample_id": row, "model": words.model + side, "status": "answered"}
            | {"text": words.good if side == "g" else words.bad}
            for one, row, side in both
        ],
        schema=CANDIDATES,
    )
    scores = pl.DataFrame(
        [
            {"candidate_id": one, "sample_id": row, "score": float(side == "g"), "extracted": words.good + side}
            | {"judge": "judges.math:final_answer", "status": words.reason}
            for one, row, side in both
        ],
        schema=SCORES,
    )
    comparisons = pl.DataFrame([compared(row, words) for row in rows[:18]], schema=COMPARISONS)
    sft = pl.DataFrame([learned | {"id": f"t{at}"} for at in range(18)], schema=SFT)
    preferences = pl.DataFrame([pair | {"id": f"p{at}"} for at in range(6)], schema=PREFERENCES)
    values = pl.DataFrame({"id": rows, "value": [float(at) for at in range(1, 21)]})
    looked_up = {"samples": samples, "kept": samples.head(18), "dropped": dropped, "sft": sft}
    looked_up |= {"candidates": candidates, "scores": scores, "leaked": pl.DataFrame([leak], schema=LEAKED)}
    tables = Tables(
        samples=cut(samples),
        quarantined=cut(pl.DataFrame([bad | {"raw": words.bad}], schema=QUARANTINED)),
        kept=cut(samples.head(18)),
        dropped=cut(dropped),
        sft=cut(sft),
        preferences=cut(preferences),
        pairs=figures.pairs_of(cut(preferences)),
        values={words.rule: values.select("value")},
        compared=[(comparisons, scores)],
        rows={name: table.lazy() for name, table in looked_up.items()},
        measured={words.rule: values.lazy()},
        matches={"filters.duplicates:near": pl.LazyFrame(alike, schema=MATCHES)},
    )
    return summary_of(tables, words, candidates, scores, comparisons), tables


def cut(table: pl.DataFrame) -> list[pl.DataFrame]:
    """Give a table in two shards."""
    return [table.slice(0, table.height // 2), table.slice(table.height // 2)]


def compared(row: str, words: Words) -> dict[str, Any]:
    """Give a comparison: the first has no verdict, the second is a tie, four are wrong."""
    score = None if row == "s00" else 0.0 if row == "s01" else -1.0 if row < "s06" else 1.0
    answers = {"a_first": "A", "b_first": "A" if row == "s01" else "B"}
    sides = {"sample_id": row, "a_id": f"{row}g", "b_id": f"{row}b"}
    return sides | answers | {"score": score, "status": words.reason, "judge": words.judge}


@cache
def rendered(words: Words) -> tuple[str, str]:
    return report.render(*made(words))


def summary_of(
    tables: Tables, words: Words, candidates: pl.DataFrame, scores: pl.DataFrame, comparisons: pl.DataFrame
) -> dict[str, Any]:
    verified = scores.select("candidate_id", "score")
    stages: dict[str, float] = {
        "asked": 1_300,
        "from_ledger": 20,
        "failed": 3,
        "prompt_tokens": 4_000_000,
        "reply_tokens": 50_000,
    }
    stages |= {"cost": 12.5}
    counts = candidate_figures.passing_counts(candidates, verified)
    counts.update(candidate_figures.reply_counts(candidates, scores))
    found = sample_figures.match_figures(tables.matches["filters.duplicates:near"], 0.8, tables.rows["samples"])
    match = {"rule": "filters.duplicates:near"}
    return {
        "name": words.source,
        "version": "0123456789abcdef",
        "folder": "runs/sums/0123456789abcdef",
        "seed": 7,
        "files": [
            {"file": words.file, "layout": "plain", "samples": 20, "quarantined": 1, "source": words.source}
            | {"bytes": 1_000, "sha256": "cd" * 32}
        ],
        "rows": {"read": 21, "samples": 20, "kept": 18, "candidates": 36, "sft": 18, "preferences": 6}
        | {"quarantined": 1, "leaked": 1, "unpaired": 36},
        "data": sample_figures.sample_figures(tables.samples, tables.kept),
        "datasets": [
            {"dataset": "sft", "rows": 18, "held_out": 2},
            {"dataset": words.source, "rows": 6, "held_out": 0},
        ],
        "changes": {
            "version": words.source,
            "figures": [{"figure": words.rule, "was": 1, "is": None}],
            "settings": [{"setting": words.rule, "was": words.source, "is": None}],
            "moved": [{"was": words.rule, "is": "kept", "samples": 3}],
            "datasets": [{"dataset": "sft", "same": 1, "added": 2, "removed": 3}],
        },
        "lineage": {
            "recipe": {"file": words.file, "sha256": "ab" * 32},
            "models": [{"model": words.model, "revision": words.model, "candidates": 36}],
            "stages": [{"stage": words.judge, "output": "ingest-0123", "code": "4567", "seconds": 1.0}],
        },
        "edits": {"email": 2},
        "prompts": [],
        "rules": [
            {"rule": words.rule, "kind": "bounds", "minimum": 2, "maximum": None, "dropped": 1, "broken": 2},
            match | {"kind": "match", "minimum": None, "maximum": 0.8, "dropped": 1, "broken": 1, "found": found},
        ],
        "requests": {**stages, "stages": {"generate": stages}},
        "candidates": candidate_figures.candidate_figures(counts),
        "replies": {
            "diversity": candidate_figures.diversity(counts, candidate_figures.words(candidates, {})),
            "finishes": candidate_figures.finishes(counts),
        },
        "judges": {
            "judges.math:final_answer": figures.verifier_figures(figures.verdict_counts(scores)),
            words.judge: figures.judge_figures(comparisons, verified)
            | figures.length_figures(figures.length_counts(comparisons.drop_nulls("score"), candidates))
            | {"cards": cards(words)},
        },
        "preferences": figures.preference_figures(tables.pairs) | pair_figures.alike(tables.preferences),
        "training": [{"method": "sft", "rows": 18, "steps": 40, "final_loss": 0.12345, "seconds": 125.0}],
        "evaluation": {
            "before": {"pass@1": 0.61, "interval": [0.58, 0.64], "tasks": 500, "samples": 8, "unscored": 1},
            "after": {"pass@1": 0.832, "interval": [0.80, 0.86], "tasks": 500, "samples": 8, "unscored": 0},
            "rise": {"pass@1": 0.222, "interval": [0.199, 0.245], "tasks": 500},
        },
        "seconds": {"ingest": 1.25, "train 0": 3_725.0},
    }


def cards(words: Words) -> dict[str, Any]:
    """Give what people and probes said of a judge."""
    one = {"mean": 0.75, "interval": [0.7, 0.8]}
    shares = dict.fromkeys(("agreement", "parse_failures", "length_bias", "self_preference"), one)
    probe = {"group": "form", "probe": words.good, "scored": 50, "rate": 0.1, "interval": [0.05, 0.2]}
    return {"people": {"labelled": 40, "kappa": 0.5, "alpha": None, **shares}, "probes": [probe]}


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Seen(html).texts))


def test_the_same_run_gives_the_same_bytes() -> None:
    assert report.render(*made(Words())) == report.render(*made(Words()))


def test_html_and_markdown_state_the_same_figures() -> None:
    html, markdown = rendered(Words())
    for text in (text_of(html), markdown.replace("\\", "")):
        assert "6 preference pairs; pass@1 61.0 % [58.0, 64.0] → 83.2 % [80.0, 86.0]." in text
        for figure in [
            "+22.2 points [19.9, 24.5]",
            "4,000,000",
            "62 min 05 s",
            "0.1235",
            "56,789",
            "73.5 % [52.7, 94.3]",
        ]:
            assert figure in text


def test_a_pairwise_judge_is_shown_with_its_agreement_ties_position_and_what_it_left_open() -> None:
    row = "| `judges.pairwise:better` | 18 | 1 (5.6 %) | `line 3 is not JSON` 1 (5.6 %) | 52.8 % of 36 | "
    assert row + "73.5 % [52.7, 94.3] | 17 |" in rendered(Words())[1]


def test_a_label_that_the_generator_gives_away_is_told() -> None:
    markdown = rendered(Words())[1]
    assert "| Right when the chosen is guessed from the generators alone | 100.0 % |" in markdown
    assert "| `tinyg` | 6 | 100.0 % |" in markdown


def test_a_quarantined_record_is_shown_with_its_reason_and_place() -> None:
    row = "| `line 3 is not JSON` | `data/sums.jsonl` | 1,234 | 56,789 | `2 + 3 = 6, I think` |"
    assert row in rendered(Words())[1]


def test_a_dropped_row_is_shown_with_what_it_matches_and_where() -> None:
    line = "`data/sums.jsonl:0`, measured 0.9, matches `data/sums.jsonl:0` in `how much is`, "
    assert line + "also broke `filters.length:words`" in rendered(Words())[1]


def test_every_chart_has_the_role_of_an_image_and_states_its_figures() -> None:
    html = rendered(Words())[0]
    labels = [value for tag, name, value in Seen(html).attributes if (tag, name) == ("figure", "aria-label")]
    assert labels == [
        "Characters of all replies: from 9 to 9, median 9",
        "Characters of kept replies: from 9 to 9, median 9",
        "Histogram of filters.length:words over 20 samples: from 1 to 20, median 10.5; 1 outside the bounds",
        "Histogram of filters.duplicates:near over 2 matches: from 0.5 to 0.9, median 0.7; 1 outside the bounds",
        "pass@k: pass@1 50.0 % [50.0, 50.0]; pass@2 100.0 % [100.0, 100.0]",
        "agreement (dashed: chance): judges.pairwise:better 73.5 % [52.7, 94.3]",
        "Characters of chosen replies: from 9 to 9, median 9",
        "Characters of rejected replies: from 18 to 18, median 18",
        "pass@1: before 61.0 % [58.0, 64.0]; after 83.2 % [80.0, 86.0]",
    ]
    assert html.count('role="img"') == len(labels) == html.count("<svg")


def test_what_a_recipe_has_not_is_said_and_no_chart_is_empty() -> None:
    summary, tables = made(Words())
    none = {"candidates": {}, "judges": {}, "preferences": {"pairs": 0}, "training": [], "evaluation": {}, "rules": []}
    none |= {"changes": {}, "replies": {"diversity": {}, "finishes": []}}
    rows = {name: table.head(0) if name in {"leaked", "kept"} else table for name, table in tables.rows.items()}
    nothing = replace(tables, quarantined=[pl.DataFrame(schema=QUARANTINED)], compared=[], rows=rows)
    html, markdown = report.render(summary | none, nothing)
    assert "<svg" not in html
    for text in (text_of(html), markdown.replace("\\", "")):
        for said in ["has no judges.", "trains no model.", "made no preference pairs.", "Every record could be read."]:
            assert said in text
        assert "no figure" not in text


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs() -> None:
    html = rendered(Words())[0]
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert ("meta", "content", policy) in Seen(html).attributes
    assert set(re.findall(r"https?://[^\"]+", html)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"url\(|@import", html)


@pytest.mark.parametrize("poison", POISON)
def test_no_text_of_a_row_becomes_markup_in_html(poison: str) -> None:
    html = rendered(all_of(poison))[0]
    seen, harmless = Seen(html), Seen(rendered(Words())[0])
    assert all(re.fullmatch(TAGS, tag) for tag in seen.tags)
    assert seen.outline == harmless.outline
    for _tag, name, value in seen.attributes:
        assert re.fullmatch(ATTRIBUTES, name)
        assert name != "href" or str(value).startswith("#")
        assert name != "style" or re.fullmatch(r"width:\d+\.\d\d%", str(value))
    assert visible(poison) in seen.texts
    assert not re.search("[\u202e\u2066\u200b\ufeff\x00\r\u2028]", html)


@pytest.mark.parametrize("poison", POISON)
def test_no_text_of_a_row_becomes_markup_in_markdown(poison: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    harmless = parser.parse(rendered(Words())[1])
    parsed = parser.parse(markdown := rendered(all_of(poison))[1])
    assert [token.type for token in parsed] == [token.type for token in harmless]
    inside = {child.type for token in parsed for child in token.children or []}
    assert inside <= {"text", "text_special", "code_inline", "em_open", "em_close", "softbreak"}
    fenced = [token.content.removesuffix("\n") for token in parsed if token.type == "fence"]
    assert visible(poison) in fenced
    assert not re.search("[\u202e\u2066\u200b\ufeff\x00\r\u2028]", markdown)


def test_a_long_text_is_cut_and_its_length_told() -> None:
    assert f"{'x' * 400} … (12,345 characters)" in report.render(*made(Words(good="x" * 12_345)))[0]


@given(
    values=st.lists(st.floats(-10, 1_000, allow_subnormal=False) | st.integers(-5, 5).map(float), min_size=1),
    minimum=st.none() | st.integers(-5, 5).map(float),
    span=st.none() | st.floats(0.01, 100) | st.integers(1, 9).map(float),
)
def test_bins_hold_every_value_and_end_at_the_bounds(
    values: list[float], minimum: float | None, span: float | None
) -> None:
    maximum = None if span is None else (minimum or 0.0) + span
    bins = charts.binned(pl.Series("value", values), minimum, maximum)
    broken = sum((minimum is not None and one < minimum) or (maximum is not None and one > maximum) for one in values)
    assert sum(row["rows"] for row in bins) == len(values)
    assert sum(row["rows"] for row in bins if not row["kept"]) == broken


def test_a_measure_of_yes_and_no_is_two_bars_and_one_without_values_is_no_chart() -> None:
    drawn = charts.histogram("unfinished", pl.Series("value", [0.0, 0.0, 1.0, None]), maximum=0)
    assert drawn is not None
    assert drawn["label"] == "unfinished: 2 samples no, 1 yes; 1 outside the bounds"
    assert re.findall(r">(no|yes)</text>", drawn["svg"]) == ["no", "yes"]
    assert charts.histogram("empty", pl.Series("value", [None, float("nan")], dtype=pl.Float64)) is None
