"""The page in a real browser, by keyboard and by mouse."""

from collections.abc import Callable
from typing import Any

import pytest

Serve = Callable[..., Any]
NewPage = Callable[[], Any]
READING = "!document.getElementById('item').hidden && document.getElementById('prompt').innerText"


def opened(served: Any, new_page: NewPage, person: str = "anna", **window: Any) -> Any:
    """Open the page and give the name by keyboard."""
    page = new_page()
    page.open(served.address, **window)
    page.wait("!document.getElementById('who').hidden && document.activeElement.id == 'name'")
    page.type(person)
    page.key("Enter")
    page.wait(READING)
    return page


def said(page: Any, text: str) -> None:
    """Wait until the page says so."""
    page.wait(f"document.getElementById('status').innerText.includes({text!r})")


def progress(page: Any, text: str) -> None:
    """Wait until the page counts so."""
    page.wait(f"document.getElementById('progress').innerText.startsWith({text!r})")


def test_a_person_judges_takes_back_notes_and_skips_by_keys_alone(serve: Serve, new_page: NewPage) -> None:
    served = serve()
    page = opened(served, new_page)
    progress(page, "anna: 0 read")
    left = page.text("#replies section")
    for at, (key, word) in enumerate(
        {"1": "first is better", "ArrowRight": "second", "t": "tie", "4": "both bad"}.items()
    ):
        page.key(key)
        said(page, f"Saved: {word}")
        progress(page, f"anna: {at + 1} read")
    page.key("s")
    said(page, "Saved: skip")
    page.key("u")
    said(page, "Taken back")
    page.key("n")
    page.wait("document.activeElement.id == 'note'")
    page.type("1 and 2 are typed, not judged")
    page.key("2")
    page.key("Escape")
    page.wait("document.activeElement.id == 'heading'")
    page.key("2")
    said(page, "Saved: second")
    progress(page, "anna: 5 read")
    lines = served.lines()
    assert [line["verdict"] for line in lines][2:6] == ["tie", "both_bad", "skip", None]
    assert lines[-1]["note"] == "1 and 2 are typed, not judged2"
    assert lines[-1]["ids"] == lines[-2]["ids"] == lines[-3]["ids"]
    better = lines[0]["ids"][0 if lines[0]["verdict"] == "a" else 1]
    assert better == lines[0]["first"]
    assert left.startswith("First reply")
    assert page.complaints() == []


def test_a_person_judges_and_filters_by_mouse(serve: Serve, new_page: NewPage) -> None:
    served = serve()
    page = opened(served, new_page)
    page.click("#filters summary")
    page.click("#apart")
    page.click("#wanted button[type=submit]")
    said(page, "Filter applied")
    assert "7 left" in page.text("#progress")
    for count in range(7):
        page.click(f"[data-verdict={'first' if count % 2 else 'second'}]")
        progress(page, f"anna: {count + 1} read")
    page.wait("!document.getElementById('done').hidden")
    assert "lets through" in page.text("#done")
    page.click("#wanted button[type=reset]")
    said(page, "Filter cleared")
    page.wait(READING)
    page.click("[data-deck=replies]")
    page.wait("document.getElementById('heading').innerText == 'Reply 1'")
    page.click("[data-verdict=fail]")
    progress(page, "anna: 1 read")
    page.click("[data-deck=dropped]")
    page.wait("document.getElementById('heading').innerText == 'Dropped sample 1'")
    page.click("[data-verdict=keep]")
    said(page, "Saved: should be kept")
    page.click("[data-verdict=undo]")
    said(page, "Taken back")
    assert [(line["deck"], line["verdict"]) for line in served.lines()[7:]] == [
        ("replies", "fail"),
        ("dropped", "keep"),
        ("dropped", None),
    ]
    assert page.complaints() == []


def test_keys_that_are_held_or_chorded_or_turned_off_judge_nothing(serve: Serve, new_page: NewPage) -> None:
    served = serve()
    page = opened(served, new_page)
    page.key("1", repeat=True)
    page.key("1", modifiers=2)  # Ctrl
    page.key("x")
    page.click("#help summary")
    page.click("#keys")
    page.key("1")
    page.ask("document.getElementById('heading').focus()")
    page.key("1")
    page.click("[data-verdict=tie]")
    said(page, "Saved: tie")
    assert [line["verdict"] for line in served.lines()] == ["tie"]


def test_what_stands_in_a_row_is_shown_as_text_and_nothing_of_it_runs(serve: Serve, new_page: NewPage) -> None:
    served = serve("--as", "anna")
    page = new_page()
    page.open(served.address)
    page.wait(READING)
    shown = ""
    for count in range(24):
        shown += page.text("main")
        assert page.ask("document.title") == "Review judged"
        assert page.ask("document.querySelectorAll('main img, main svg, main iframe, main script, base').length") == 0
        page.key("3")
        progress(page, f"anna: {count + 1} read")
    for text in ("<script>document.title = 'owned'</script>", "<img src=x onerror", "{{ 7 * 7 }} ${7 * 7}", "⟦U+202E⟧"):
        assert text in shown
    assert page.complaints() == []
    assert {address.startswith(served.address) or address == "data:," for address in page.requested()} == {True}


def test_nothing_on_the_page_tells_which_reply_was_chosen_or_by_whom(serve: Serve, new_page: NewPage) -> None:
    served = serve()
    page = opened(served, new_page)
    html = page.ask("document.querySelector('main').outerHTML")
    item = served.get("next", deck="pairs", person="anna")["item"]
    assert set(item) == {"deck", "key", "prompt", "replies", "note"}
    assert item["key"] == ".".join(sorted(item["key"].split(".")))
    for told in ("chosen", "rejected", "judges.", "margin", "score", "source", *item["key"].split(".")):
        assert told not in html


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (360, "light"), (1000, "dark")])
def test_no_window_is_too_narrow_and_every_verdict_can_be_reached(
    serve: Serve, new_page: NewPage, width: int, scheme: str
) -> None:
    page = opened(serve(), new_page, width=width, height=740, scheme=scheme)
    inside = """[...document.querySelectorAll('#verdicts button')].filter((one) => one.offsetParent).every((one) => {
        const box = one.getBoundingClientRect();
        return box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight + 1 && box.height >= 40; })"""
    assert page.ask(inside)
    for opener in ("#filters", "#people", "#help"):
        page.click(f"{opener} summary")
    assert page.ask("document.documentElement.scrollWidth") <= width
    light = "getComputedStyle(document.documentElement).backgroundColor"
    assert (page.ask(light) == "rgb(21, 23, 26)") == (scheme == "dark")


def test_a_screen_reader_is_told_names_headings_states_and_what_was_saved(serve: Serve, new_page: NewPage) -> None:
    page = opened(serve(), new_page)
    page.key("1")
    said(page, "Saved")
    tree = page.outline()
    controls = {"button", "textbox", "checkbox", "combobox", "DisclosureTriangle"}
    assert [one for one in tree if one["role"] in controls and not one["name"].strip()] == []
    headings = [(one["level"], one["name"]) for one in tree if one["role"] == "heading"]
    assert headings[1:] == [(2, "Pair 2"), (3, "Prompt"), (3, "First reply"), (3, "Second reply")]
    assert {"banner", "main", "status", "alert"} <= {one["role"] for one in tree}
    regions = {one["name"] for one in tree if one["role"] == "region"}
    assert {"Pair 2", "Prompt", "First reply", "Second reply"} <= regions
    assert {"What to read", "Verdict"} <= {one["name"] for one in tree if one["role"] == "group"}
    buttons = {one["name"]: one for one in tree if one["role"] == "button"}
    assert {"First is better", "Second is better", "Tie", "Both bad", "Skip", "Undo"} <= set(buttons)
    assert buttons["Pairs"]["pressed"] == "true"
    assert [one["name"] for one in tree if one.get("focused") and one["role"] == "heading"] == ["Pair 2"]
    polite = [one for one in tree if one["role"] == "status"]
    assert [one["live"] for one in polite] == ["polite"]


def test_tab_goes_through_the_page_in_the_order_in_which_it_is_read(serve: Serve, new_page: NewPage) -> None:
    page = opened(serve(), new_page)
    seen = []
    for _ in range(7):
        page.key("Tab")
        seen.append(page.ask("document.activeElement.dataset.verdict ?? document.activeElement.id"))
    assert seen == ["note", "first", "second", "tie", "both_bad", "skip", "note"]


def test_a_verdict_that_cannot_be_saved_is_told_and_the_pair_stays(serve: Serve, new_page: NewPage) -> None:
    served = serve()
    page = opened(served, new_page)
    before = page.text("#prompt")
    served.process.kill()
    served.process.wait()
    page.key("1")
    page.wait("document.getElementById('fault').innerText.startsWith('Not saved')")
    assert page.text("#prompt") == before
    assert page.text("#progress").startswith("anna: 0 read")


def test_two_people_see_how_far_they_agree(serve: Serve, new_page: NewPage) -> None:
    served = serve()
    for person, keys in (("anna", "1231"), ("ben", "1232")):
        page = opened(served, new_page, person)
        for count, key in enumerate(keys):
            page.key(key)
            progress(page, f"{person}: {count + 1} read")
    page.click("#people summary")
    assert "4 read by several; Krippendorff's alpha" in page.text("#agreement")
    assert "anna and ben" in page.text("#kappas")
