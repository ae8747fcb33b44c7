"""Each distinct request is asked once and answered in order, with engines that break in every way an engine can."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generators.asking import Asking, ask
from generators.ledger import CHUNK, Ledger, open_ledger
from schemas.engines import Reply, Request, Sampling
from schemas.errors import EngineError
from tests.generators.echo import Broken, Echo, Streaming, request

PROMPTS = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), max_size=12)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=PROMPTS, wanted=PROMPTS)
def test_replies_come_in_order_and_each_distinct_request_is_asked_or_found_once(
    tmp_path: Path, before: list[tuple[str, int]], wanted: list[tuple[str, int]]
) -> None:
    ledger = open_ledger(tmp_path / f"{time.monotonic_ns()}.db")
    engine = Echo()
    ask([request(*one) for one in before], engine, ledger)
    asked = ask([request(*one) for one in wanted], engine, ledger)
    assert [reply.text for reply in asked.replies] == [f"{prompt} {sample}" for prompt, sample in wanted]
    assert asked.asked == len(set(wanted) - set(before))
    assert asked.from_ledger == len(set(wanted) & set(before))
    assert len(engine.asked) == len(set(wanted) | set(before))
    ledger.close()


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    requests = [request(str(number)) for number in range(1_200)]
    first = ask(requests, Echo(), open_ledger(tmp_path / "ledger.db"))
    engine = Echo()
    second = ask(requests, engine, open_ledger(f"sqlite:///{tmp_path}/ledger.db"))
    assert (second.asked, second.from_ledger, engine.asked) == (0, 1_200, [])
    assert second.replies == first.replies


@pytest.mark.parametrize(
    "changed",
    [
        replace(request("a"), chat=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}]),
        replace(request("a"), sampling=Sampling(temperature=0.5)),
        replace(request("a"), sampling=Sampling(seed=1)),
        replace(request("a"), sampling=Sampling(max_tokens=7)),
        replace(request("a"), sampling=Sampling(choices=("yes", "no"))),
        replace(request("a"), sample=1),
        replace(request("a"), tools='[{"type": "function"}]'),
        replace(request("a"), model="another"),
        replace(request("a"), revision="2"),
    ],
)
def test_whatever_can_change_the_answer_asks_anew(ledger: Ledger, changed: Request) -> None:
    ask([request("a")], Echo(), ledger)
    assert ask([changed], Echo(), ledger).asked == 1
    assert ask([request("a")], Echo(), ledger).asked == 0


def test_an_error_is_returned_and_asked_again_by_the_next_run(ledger: Ledger) -> None:
    failing = Broken(how=lambda requests: (Reply(one.key, None, error="500") for one in requests))
    first = ask([request("a"), request("a")], failing, ledger)
    assert ([reply.error for reply in first.replies], first.asked, first.failed) == (["500", "500"], 1, 1)
    second = ask([request("a")], Echo(), ledger)
    assert (second.replies[0].text, second.asked, second.failed) == ("a 0", 1, 0)


def test_a_request_the_engine_forgets_is_an_error_and_not_a_hole(ledger: Ledger) -> None:
    forgetful = Broken(how=lambda requests: Echo()(requests[:1]))
    asked = ask([request("a"), request("b")], forgetful, ledger)
    assert [(reply.text, reply.error) for reply in asked.replies] == [
        ("a 0", None),
        (None, "the engine gave no answer"),
    ]
    assert (asked.asked, asked.failed) == (2, 1)


@pytest.mark.parametrize(
    "how", [lambda _: Echo()([request("other")]), lambda requests: Echo()([requests[0], requests[0]])]
)
def test_an_answer_to_another_question_or_a_second_one_is_an_error(
    ledger: Ledger, how: Callable[[list[Request]], Iterator[Reply]]
) -> None:
    with pytest.raises(EngineError, match="which it was not asked"):
        ask([request("a")], Broken(how=how), ledger)


def test_requests_are_read_as_the_engine_takes_them_and_replies_given_before_the_last_is_asked(ledger: Ledger) -> None:
    read: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(3 * CHUNK):
            read.append(number)
            yield request(str(number))

    def answer(wanted: Iterable[Request]) -> Iterator[Reply]:
        for one in wanted:
            yield Reply(one.key, one.chat[-1]["content"], "stop")

    replies = iter(Asking(requests(), Streaming(how=answer), ledger))
    assert next(replies).text == "0"
    assert len(read) <= 2 * CHUNK
    assert [reply.text for reply in replies] == [str(number) for number in range(1, 3 * CHUNK)]


def test_an_engine_that_reads_all_it_can_before_it_answers_is_given_a_window_at_a_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generators.asking.WINDOW", CHUNK)
    sizes: list[int] = []

    def answer(wanted: Iterable[Request]) -> Iterator[Reply]:
        taken = list(wanted)
        sizes.append(len(taken))
        return Echo()(taken)

    asked = ask([request(str(number)) for number in range(3 * CHUNK + 7)], Streaming(how=answer), ledger)
    assert [reply.text for reply in asked.replies] == [f"{number} 0" for number in range(3 * CHUNK + 7)]
    assert sizes == [CHUNK, CHUNK, CHUNK, 7]


def test_progress_counts_distinct_requests_the_found_ones_too(ledger: Ledger) -> None:
    told: list[int] = []
    ask([request("a")], Echo(), ledger)
    ask([request("a"), request("b"), request("c"), request("b")], Echo(), ledger, progress=told.append)
    assert told == [2, 3]


def test_of_two_processes_with_one_question_the_first_answer_counts(ledger: Ledger) -> None:
    def slower(requests: list[Request]) -> Iterator[Reply]:
        ask(requests, Echo(), ledger)
        yield Reply(requests[0].key, "late", "stop")

    assert ask([request("a")], Broken(how=slower), ledger).replies[0].text == "a 0"
