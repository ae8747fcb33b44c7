"""The real vLLM, offline and as a server, with the project's tiny model."""

import math
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from generators import vllm
from generators.asking import ask
from generators.ledger import open_ledger
from schemas.chats import Chat
from schemas.engines import Engine, Reply, Request, Sampling
from schemas.errors import EngineError
from tests.generators.vllm_requests import GREEDY, QUESTION, requests

pytestmark = pytest.mark.usefixtures("_temporary_files_go_to_a_long_path_of_the_test")

SCHEMA = """{"type": "object", "properties": {"right": {"type": "boolean"}, "kind": {"enum": ["sum", "word"]}},
"required": ["right", "kind"], "additionalProperties": false}"""


def by_key(engine: Engine, asked: list[Request]) -> dict[str, Reply]:
    return {reply.key: reply for reply in engine(asked)}


@pytest.mark.vllm
def test_samples_of_one_prompt_differ_and_greedy_ones_do_not(vllm_engine: Engine) -> None:
    sampled = by_key(vllm_engine, requests(vllm_engine, samples=16)).values()
    greedy = by_key(vllm_engine, requests(vllm_engine, samples=16, sampling=GREEDY)).values()
    assert len({reply.text for reply in sampled}) > 1
    assert len({reply.text for reply in greedy}) == 1
    assert {reply.error for reply in (*sampled, *greedy)} == {None}


@pytest.mark.vllm
def test_a_request_gets_the_same_answer_alone_and_among_others(vllm_engine: Engine) -> None:
    wanted = requests(vllm_engine, samples=3)
    others = [one for number in range(60) for one in requests(vllm_engine, f"What is {number} + 1?")]
    alone = [by_key(vllm_engine, [one])[one.key].text for one in wanted]
    among = by_key(vllm_engine, [*others[:30], *wanted, *others[30:]])
    assert [among[one.key].text for one in wanted] == alone


@pytest.mark.vllm
def test_a_prompt_that_is_too_long_is_an_error_and_hurts_nobody(vllm_engine: Engine) -> None:
    (long,), (short,) = requests(vllm_engine, "1 + " * 100_000), requests(vllm_engine)
    found = by_key(vllm_engine, [long, short])
    assert found[long.key].text is None
    assert "maximum context length" in (found[long.key].error or "")
    assert found[short.key].error is None


@pytest.mark.vllm
def test_only_the_choices_are_answered_and_the_log_probability_is_told(vllm_engine: Engine) -> None:
    sampling = Sampling(choices=("yes", "no"), max_tokens=8, logprob=True)
    found = by_key(vllm_engine, requests(vllm_engine, samples=8, sampling=sampling)).values()
    assert {reply.text for reply in found} <= {"yes", "no"}
    assert all(reply.logprob is not None and reply.logprob < 0 for reply in found)


@pytest.mark.vllm
def test_the_length_limit_and_the_tokens_are_told(vllm_engine: Engine) -> None:
    (reply,) = vllm_engine(requests(vllm_engine, sampling=Sampling(max_tokens=1)))
    assert (reply.finish_reason, reply.reply_tokens) == ("length", 1)
    assert (reply.prompt_tokens or 0) > 1
    assert reply.logprob is None


@pytest.mark.vllm
def test_a_killed_vllm_loses_only_what_was_in_flight(vllm_engine: Engine, tmp_path: Path) -> None:
    wanted = [one for number in range(700) for one in requests(vllm_engine, f"What is {number} + {number}?")]
    ledger = open_ledger(tmp_path / "ledger.db")

    def kill_after_100(done: int) -> None:
        if done == 100:
            vllm_engine._child.process.kill()  # type: ignore[attr-defined] # noqa: SLF001 - as the kernel would

    with pytest.raises(EngineError, match=r"died with \d+ requests in flight.*SIGKILL.*Its log is"):
        ask(wanted, vllm_engine, ledger, progress=kill_after_100)
    kept = len(ledger.find([one.key for one in wanted]))
    assert 100 <= kept < 700
    rest = ask(wanted, vllm_engine, ledger)
    assert (rest.asked, rest.from_ledger, rest.failed) == (700 - kept, kept, 0)
    ledger.close()


@pytest.mark.vllm
@pytest.mark.slow
def test_the_server_gives_the_answers_of_the_offline_engine(tiny: str, vllm_engine: Engine) -> None:
    engine = vllm.server(model=tiny)
    choice = Sampling(choices=("yes", "no"), max_tokens=8, logprob=True, choice_logprobs=True)
    held = Sampling(schema=SCHEMA, max_tokens=64, top_k=5, min_p=0.01)
    tool = orjson.dumps([{"type": "function", "function": {"name": "add", "description": "Add.", "parameters": {}}}])
    wanted = [
        *requests(engine, samples=4),
        *requests(engine, sampling=GREEDY),
        *requests(engine, sampling=choice),
        *requests(engine, sampling=held),
        *requests(engine, tools=tool.decode()),
    ]
    try:
        there = by_key(engine, wanted)
        (too_long,) = engine(requests(engine, "1 + " * 100_000))
    finally:
        engine.close()
    here = by_key(vllm_engine, wanted)
    assert {key: reply.text for key, reply in there.items()} == {key: reply.text for key, reply in here.items()}
    assert {reply.error for reply in there.values()} == {None}
    assert [reply.logprob for reply in there.values() if reply.logprob] == pytest.approx(
        [reply.logprob for reply in here.values() if reply.logprob], abs=1e-4
    )
    for key, reply in there.items():
        assert reply.choice_logprobs == pytest.approx(here[key].choice_logprobs, abs=1e-4)
    assert "BadRequestError" in (too_long.error or "")


@pytest.mark.vllm
def test_an_answer_to_a_json_schema_fits_it_and_a_broken_schema_hurts_nobody(vllm_engine: Engine) -> None:
    wanted = requests(vllm_engine, samples=6, sampling=Sampling(schema=SCHEMA, max_tokens=64))
    (broken,) = requests(vllm_engine, sampling=Sampling(schema='{"type": "nonsense"}'))
    found = by_key(vllm_engine, [*wanted, broken])
    for one in wanted:
        answer = orjson.loads(found[one.key].text or "")
        assert set(answer) == {"right", "kind"}
        assert answer["right"] in {True, False}
        assert answer["kind"] in {"sum", "word"}
    assert found[broken.key].text is None
    assert "nonsense" in (found[broken.key].error or "")


@pytest.mark.vllm
def test_the_likeliest_token_alone_is_greedy(vllm_engine: Engine) -> None:
    (greedy,) = vllm_engine(requests(vllm_engine, sampling=GREEDY))
    for held in (
        Sampling(temperature=2.0, top_k=1, max_tokens=24),
        Sampling(temperature=2.0, min_p=1.0, max_tokens=24),
    ):
        assert {reply.text for reply in vllm_engine(requests(vllm_engine, samples=4, sampling=held))} == {greedy.text}


@pytest.mark.vllm
def test_the_log_probability_of_an_answer_is_its_continuations(vllm_engine: Engine) -> None:
    (drawn,) = requests(vllm_engine, sampling=Sampling(temperature=0.0, max_tokens=4, logprob=True))
    (reply,) = vllm_engine([drawn])
    assert reply.text
    assert reply.finish_reason == "length"  # no token that ends it is counted
    (scored,) = vllm_engine([Request(drawn.chat, GREEDY, drawn.model, drawn.revision, continuation=reply.text)])
    assert reply.logprob == pytest.approx(scored.logprob, abs=1e-3)


@pytest.mark.vllm
def test_the_choices_log_probabilities_say_how_often_each_is_drawn(vllm_engine: Engine) -> None:
    sampling = Sampling(choices=("yes", "no", "blue"), max_tokens=8, choice_logprobs=True)
    found = list(vllm_engine(requests(vllm_engine, samples=400, sampling=sampling)))
    told = found[0].choice_logprobs or {}
    assert {reply.logprob for reply in found} == {None}
    assert sum(math.exp(value or 0) for value in told.values()) == pytest.approx(1)
    for choice, value in told.items():
        assert value is not None
        share, wanted = sum(reply.text == choice for reply in found) / 400, math.exp(value)
        assert abs(share - wanted) < 0.01 + 4 * math.sqrt(wanted * (1 - wanted) / 400)


@pytest.mark.vllm
def test_an_answer_ends_before_its_stop_text_and_a_system_text_changes_it(vllm_engine: Engine) -> None:
    (whole,) = vllm_engine(requests(vllm_engine, sampling=Sampling(temperature=0.0, logprob=True)))
    assert whole.text
    stop = whole.text.split()[1]
    (cut,) = vllm_engine(requests(vllm_engine, sampling=Sampling(temperature=0.0, stop=(stop,))))
    assert (cut.text, cut.finish_reason) == (whole.text.partition(stop)[0], "stop")
    chat: Chat = [{"role": "system", "content": "Say only no."}, {"role": "user", "content": QUESTION}]
    told = Sampling(temperature=0.0, logprob=True)
    (instructed,) = vllm_engine([Request(chat, told, vllm_engine.model, vllm_engine.revision)])
    assert (instructed.prompt_tokens or 0) > (whole.prompt_tokens or 0)
    assert instructed.logprob != whole.logprob


@pytest.mark.vllm
def test_a_continuation_is_scored_as_transformers_does(tiny: str, vllm_engine: Engine) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    chat: Chat = [{"role": "user", "content": "What is 12 plus 7?"}]
    cases: list[tuple[Chat, str]] = [(chat, "19"), (chat, "The answer is 20."), ([], "What is that?")]
    for asked, said in cases:
        weights = (vllm_engine.model, vllm_engine.revision)
        (reply,) = vllm_engine([Request(asked, GREEDY, *weights, continuation=said)])
        before: Any = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        if asked:
            before = tokenizer.apply_chat_template(cast("Any", asked), add_generation_prompt=True, return_dict=False)
        tokens = before + tokenizer(said, add_special_tokens=False)["input_ids"]
        first = max(len(before), 1)
        with torch.inference_mode():
            logs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
        expected = sum(logs[at - 1, tokens[at]].item() for at in range(first, len(tokens)))
        assert (reply.text, reply.reply_tokens) == (said, len(tokens) - first)
        assert reply.logprob == pytest.approx(expected, abs=1e-3)
