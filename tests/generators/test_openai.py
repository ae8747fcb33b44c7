"""What becomes of a server's failures; that answers are right is tested with the real server, in test_vllm.py."""

import socket
import threading
import time
from typing import Any

import pytest

from generators.openai import server
from schemas.engines import Request, Sampling
from schemas.errors import EngineError
from tests.generators.scripted import Answer, completion, replies, serving


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    def script(number: int, _: dict[str, Any]) -> Answer:
        return (200, {}, completion("4")) if number else (429, {"Retry-After": "1"}, {"error": {"message": "busy"}})

    with serving(script) as url:
        start = time.monotonic()
        reply = replies(server(url=url, model="m"), "2+2?")["2+2?"]
    assert (reply.text, reply.finish_reason, reply.error) == ("4", "stop", None)
    assert time.monotonic() - start >= 1


def test_a_server_that_always_fails_gives_errors_and_no_text() -> None:
    with serving(lambda *_: (500, {}, {"error": {"message": "out of memory"}})) as url:
        found = replies(server(url=url, model="m", retries=1), "a", "b")
    assert [(reply.text, "out of memory" in (reply.error or "")) for reply in found.values()] == [(None, True)] * 2


def test_one_bad_request_leaves_the_others_alone() -> None:
    def script(_: int, body: dict[str, Any]) -> Answer:
        prompt = body["messages"][-1]["content"]
        if prompt == "long":
            return 400, {}, {"error": {"message": "the prompt is too long"}}
        return 200, {}, completion(prompt.upper())

    with serving(script) as url:
        found = replies(server(url=url, model="m", concurrency=2), "a", "long", "b", "c")
    assert {prompt: reply.text for prompt, reply in found.items()} == {"a": "A", "long": None, "b": "B", "c": "C"}
    assert "BadRequestError" in (found["long"].error or "")
    assert "the prompt is too long" in (found["long"].error or "")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (completion(), "0 choices instead of 1"),
        (completion("a", "b"), "2 choices instead of 1"),
        ({**completion(), "choices": None}, "0 choices instead of 1"),
        (completion(None, finish_reason="tool_calls"), "finish reason 'tool_calls'"),
        (completion("I ca", finish_reason="content_filter"), "finish reason 'content_filter'"),
        (completion("\ud800"), "no JSON in valid Unicode"),
        (["no object"], "no chat completion"),
        ({**completion(), "choices": [{"index": 0}]}, "no chat completion"),
        (completion("a") | {"id": "chatcmpl-gristmill-0123456789abcdef-0"}, "the answer to another request"),
    ],
)
def test_an_answer_that_is_no_single_whole_text_is_an_error(body: Any, error: str) -> None:
    with serving(lambda *_: (200, {}, body)) as url:
        reply = replies(server(url=url, model="m", retries=1), "a")["a"]
    assert reply.text is None
    assert error in (reply.error or "")


def test_a_server_without_log_probabilities_is_an_error_when_they_are_asked_for() -> None:
    with serving(lambda *_: (200, {}, completion("a"))) as url:
        reply = replies(server(url=url, model="m"), "a", sampling=Sampling(logprob=True))["a"]
    assert (reply.text, reply.error) == (None, "the server gave no log-probabilities")


def test_a_server_that_goes_away_ends_the_asking_and_keeps_what_it_answered() -> None:
    requests = [Request([{"role": "user", "content": prompt}], Sampling(), "m", "") for prompt in "abc"]
    with serving(lambda *_: (200, {"Connection": "close"}, completion("4"))) as url:
        answers = server(url=url, model="m", concurrency=1, patience=0.2)(requests)
        assert next(answers).text == "4"
    with pytest.raises(EngineError, match="no answer from"):
        list(answers)


def test_a_hanging_server_is_an_error_after_the_timeout() -> None:
    def script(*_: Any) -> Answer:
        time.sleep(1)
        return 200, {}, completion("late")

    with serving(script) as url:
        reply = replies(server(url=url, model="m", timeout=0.2, retries=1), "a")["a"]
    assert reply.text is None
    assert "APITimeoutError" in (reply.error or "")
    assert "of 0.2 s" in (reply.error or "")


def test_a_closed_port_is_told_at_the_start_with_the_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match=rf"no answer from {url} .*is the server running"):
        replies(server(url=url, model="m"), "a")


def test_nothing_is_contacted_when_nothing_is_asked() -> None:
    assert list(server(url="http://127.0.0.1:1/v1", model="m")([])) == []


def test_a_garbled_answer_is_asked_again() -> None:
    bad: list[Any] = [[], completion(), completion("a", "b"), completion("a") | {"id": "gristmill-0123456789abcdef-0"}]

    def script(number: int, _: dict[str, Any]) -> Answer:
        return 200, {}, bad[number] if number < len(bad) else completion("4")

    with serving(script) as url:
        reply = replies(server(url=url, model="m"), "2+2?")["2+2?"]
    assert (reply.text, reply.error) == ("4", None)


def test_a_server_that_wants_to_be_left_alone_for_long_is_an_error_that_says_so() -> None:
    with serving(lambda *_: (429, {"Retry-After": "3600"}, {"error": {"message": "busy"}})) as url:
        reply = replies(server(url=url, model="m"), "a")["a"]
    assert "asked again in 3600 s" in (reply.error or "")


def test_in_a_sweep_of_faults_nothing_is_lost_doubled_or_mixed_up() -> None:
    from benchmarks.faults import FAULTS, FaultyServer, sweep

    faulty = FaultyServer(FAULTS, retry_after=0)
    found = sweep(faulty, 400, timeout=1.0)
    assert faulty.met.keys() == {*FAULTS, "none"}  # each of them was met
    assert found == {
        "requests": 400,
        "lost": 0,
        "doubled": 0,
        "mixed up": 0,
        "failed, with the reason": 0,
        "answered": 400,
        "answered more than once": 0,
    }


def test_what_still_fails_is_a_reply_with_its_error_and_never_a_hole() -> None:
    from benchmarks.faults import FaultyServer, serving

    asked = [Request([{"role": "user", "content": f"{at}"}], Sampling(), "m", "") for at in range(40)]
    with serving(FaultyServer({"500": 0.6})) as url:
        found = {reply.key: reply for reply in server(url=url, model="m", retries=0)(asked)}
    texts = {one.key: one.chat[0]["content"] for one in asked}
    assert found.keys() == texts.keys()
    assert all(reply.text == (texts[key] if reply.error is None else None) for key, reply in found.items())
    assert 0 < sum(reply.error is None for reply in found.values()) < 40


def test_a_server_that_dies_and_comes_back_is_waited_for() -> None:
    requests = [Request([{"role": "user", "content": prompt}], Sampling(), "m", "") for prompt in "abcdef"]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def script(_: int, body: dict[str, Any]) -> Answer:
        return 200, {"Connection": "close"}, completion(body["messages"][0]["content"])

    with serving(script, port) as url:
        answers = server(url=url, model="m", concurrency=1)(requests)
        first = next(answers)
    again = serving(script, port)
    timer = threading.Timer(0.8, again.__enter__)
    timer.start()
    found = [first, *answers]
    timer.join()
    again.__exit__(None, None, None)
    assert sorted(reply.text or "" for reply in found) == list("abcdef")
