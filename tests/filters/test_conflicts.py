import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from filters.conflicts import replies
from filters.standing import clusters
from schemas.rules import MATCHES
from schemas.tables import SAMPLES

ROWS = st.lists(st.tuples(st.sampled_from(["a", "A ", "b", ""]), st.sampled_from(["x", "X.", "y", "z", "", None])))


def samples_of(rows: list[tuple[str, str | None]]) -> pl.DataFrame:
    table = [
        dict.fromkeys(SAMPLES)
        | {"id": f"id{at:03}", "prompt": [{"role": "user", "content": asked, "tool_calls": None}], "reply": said}
        for at, (asked, said) in enumerate(rows)
    ]
    return pl.DataFrame(table, schema=SAMPLES)


@given(ROWS, st.integers(1, 5))
def test_all_rows_with_one_prompt_and_several_replies_hang_together(
    rows: list[tuple[str, str | None]], size: int
) -> None:
    samples = samples_of(rows)
    matches = replies().match([samples[at : at + size] for at in range(0, samples.height, size)], [])
    assert matches.schema == MATCHES
    said: dict[str, dict[str, str]] = {}
    for row, (asked, reply) in zip(samples["id"], rows, strict=True):
        if asked.strip() and reply and reply.strip("."):
            said.setdefault(asked.strip().lower(), {})[row] = reply.lower().strip(".")
    expected = {frozenset(group) for group in said.values() if len(set(group.values())) > 1}
    found = clusters(matches).group_by("cluster").agg("id")["id"].to_list()
    assert set(map(frozenset, found)) == expected
    meant = {row: reply for group in said.values() for row, reply in group.items()}
    assert all(meant[row] != meant[other] for row, other in matches.select("id", "other").iter_rows())
    assert set(matches.rows()) == set(replies().match([samples.reverse()], []).rows())


def test_none_of_the_conflicting_rows_stays_unless_the_recipe_says_which() -> None:
    assert (replies().keep, replies(keep="first").keep) == ("none", "first")
