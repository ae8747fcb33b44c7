"""What a server is asked, how many at once and how many in a minute, and what is read from its answers."""

import time
from typing import Any

import pytest

from generators.openai import server
from schemas.engines import Request, Sampling
from tests.generators.scripted import Answer, Script, completion, replies, serving


def test_answers_come_as_they_are_ready_and_never_more_at_once_than_allowed() -> None:
    running: list[str] = []
    most: list[int] = []

    def script(_: int, body: dict[str, Any]) -> Answer:
        prompt = body["messages"][-1]["content"]
        running.append(prompt)
        most.append(len(running))
        time.sleep(0.6 if prompt == "slow" else 0.05)
        running.remove(prompt)
        return 200, {}, completion(prompt)

    with serving(script) as url:
        found = replies(server(url=url, model="m", concurrency=3), "slow", *"abcdefgh")
    assert list(found)[-1] == "slow"
    assert max(most) == 3


def test_each_request_has_its_own_seed_and_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: set[int] = set()
    keys: set[str] = set()

    def script(_: int, body: dict[str, Any]) -> Answer:
        seeds.add(body["seed"])
        keys.add(body["authorization"])
        return 200, {}, completion("a")

    monkeypatch.setenv("MY_KEY", "s3cret")
    with serving(script) as url:
        replies(server(url=url, model="m", api_key_variable="MY_KEY"), "a", "b")
    assert (len(seeds), keys) == (2, {"Bearer s3cret"})


def test_of_two_servers_the_faster_gets_more_and_a_dead_one_costs_no_answer() -> None:
    counts = {"fast": 0, "slow": 0}

    def paced(name: str, seconds: float) -> Script:
        def script(_: int, body: dict[str, Any]) -> Answer:
            counts[name] += 1
            time.sleep(seconds)
            return 200, {"Connection": "close"}, completion(body["messages"][0]["content"])

        return script

    prompts = [f"{at}" for at in range(120)]
    requests = [Request([{"role": "user", "content": prompt}], Sampling(), "m", "") for prompt in prompts]
    with serving(paced("fast", 0.01)) as fast:
        with serving(paced("slow", 0.2)) as slow:
            answers = server(urls=(fast, slow), model="m", concurrency=4)(requests)
            found = [next(answers) for _ in range(80)]
            spread = dict(counts)
        found += answers  # the slow one is gone
    assert sorted(reply.text or "" for reply in found) == sorted(prompts)
    assert spread["fast"] > 2 * spread["slow"] > 0


def test_one_address_or_several_must_be_given() -> None:
    for both in ({}, {"url": "http://127.0.0.1:1/v1", "urls": ("http://127.0.0.1:2/v1",)}):
        with pytest.raises(ValueError, match="either `url` or `urls`"):
            server(model="m", **both)  # type: ignore[arg-type]


def test_requests_are_spread_over_the_minute() -> None:
    times: list[float] = []

    def script(*_: Any) -> Answer:
        times.append(time.monotonic())
        return 200, {}, completion("a")

    with serving(script) as url:
        replies(server(url=url, model="m", requests_per_minute=600), *"abcde")
    assert max(times) - min(times) >= 0.35  # four gaps of a tenth of a second, one reply's delay aside


def test_tokens_are_spread_over_the_minute_as_the_server_counts_them() -> None:
    times: list[float] = []

    def script(*_: Any) -> Answer:
        times.append(time.monotonic())
        return 200, {}, completion("a") | {"usage": {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10}}

    with serving(script) as url:  # an answer of 1000 tokens is reserved, and given back
        start = time.monotonic()
        one_by_one = server(url=url, model="m", tokens_per_minute=6000, concurrency=1)
        replies(one_by_one, *"abcd", sampling=Sampling(max_tokens=1000))
    assert 0.25 <= max(times) - start < 30  # 40 s if nothing were given back


def test_what_is_asked_of_the_server_is_what_the_sampling_says() -> None:
    bodies: list[dict[str, Any]] = []

    def script(_: int, body: dict[str, Any]) -> Answer:
        bodies.append(body)
        return 200, {}, completion('{"ok": true}')

    schema = '{"type": "object"}'
    with serving(script) as url:
        replies(server(url=url, model="m"), "a", sampling=Sampling(schema=schema, top_k=5, min_p=0.1))
        replies(server(url=url, model="m"), "a")
    assert bodies[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert (bodies[0]["top_k"], bodies[0]["min_p"]) == (5, 0.1)
    assert not bodies[1].keys() & {"response_format", "top_k", "min_p", "structured_outputs", "logprobs"}


@pytest.mark.parametrize(
    ("sampling", "text", "error"),
    [
        (Sampling(choices=("A", "B")), "A.", "none of the choices"),
        (Sampling(schema='{"type": "object"}'), "{ok", "is no JSON"),
    ],
)
def test_a_server_that_ignores_what_the_answer_must_be_is_an_error(sampling: Sampling, text: str, error: str) -> None:
    with serving(lambda *_: (200, {}, completion(text))) as url:
        reply = replies(server(url=url, model="m"), "a", sampling=sampling)["a"]
    assert reply.text is None
    assert error in (reply.error or "")


def test_the_choices_log_probabilities_are_read_from_the_first_token() -> None:
    top = [{"token": "A", "logprob": -1.0}, {"token": " B", "logprob": -2.0}, {"token": "The", "logprob": -0.6}]
    told = completion("A")
    told["choices"][0]["logprobs"] = {"content": [{"token": "A", "logprob": -1.0, "top_logprobs": top}]}
    with serving(lambda *_: (200, {}, told)) as url:
        sampling = Sampling(choices=("A", "B", "C"), choice_logprobs=True)
        reply = replies(server(url=url, model="m"), "a", sampling=sampling)["a"]
    assert reply.choice_logprobs == {
        "A": pytest.approx(-0.3133, abs=1e-4),
        "B": pytest.approx(-1.3133, abs=1e-4),
        "C": None,
    }
    assert reply.logprob is None  # it was not asked for


def test_a_chat_api_says_that_it_writes_no_users_turn() -> None:
    with serving(lambda *_: (200, {}, completion("4"))) as url:
        engine = server(url=url, model="m")
        (reply,) = engine([Request([], Sampling(), engine.model, engine.revision, writes="user")])
    assert reply.text is None
    assert "can't let the model write a user's turn" in (reply.error or "")
