"""The report of a run: what it tells and draws, and that no text of a row becomes markup."""

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipelines import charts, report
from pipelines.closing import visible
from schemas.tables import QUARANTINED
from tests.pipelines.reported import Words, all_of, made

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


@cache
def rendered(words: Words) -> tuple[str, str]:
    return report.render(*made(words))


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
