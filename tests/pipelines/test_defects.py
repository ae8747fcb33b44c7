"""Ten ways in which systems have corrupted their labels: each re-enacted in a few lines, and ours shown free of it.

The re-enactments (`theirs_…`) are the logic alone, as it was seen in published pipelines: a judge's output that is
parsed and dropped, columns joined by position, numbers in the place of failures. Ours goes through the real path: the
ledger, the judges, the scores, the selection.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import torch
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from generators.asking import ask
from generators.ledger import Ledger, open_ledger
from judges.checks import own
from judges.pairwise import preference
from judges.rating import rating
from judges.reward import scored
from pipelines.files.read import rows_of
from pipelines.generate import candidate
from pipelines.judging import members, settle
from pipelines.pairs import read_preferences
from pipelines.recipe import Recipe
from pipelines.score import cases_of, samples_by_id, verify, verify_together
from pipelines.score import rows_of as rows_of_verdicts
from pipelines.scored import table_of
from pipelines.select import Selection, best_and_worst, preference_rows
from schemas.chats import Chat
from schemas.engines import Reply, Request, Sampling
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES, Sample

Answer = Callable[[str], str | None]  # what an engine says to a chat's last turn; null is a failure
TEXTS = ("good reply", "poor reply")


@dataclass(eq=False)
class Scripted:
    """An engine that answers by rule, and counts."""

    answer: Answer
    model: str = "scripted"
    revision: str = "1"
    asked: list[Request] = field(default_factory=list)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer in order."""
        for request in requests:
            self.asked.append(request)
            said = self.answer(request.chat[-1]["content"])
            yield Reply(request.key, said, "stop", error="the server said 500" if said is None else None)

    def close(self) -> None:
        """Do nothing: nothing was opened."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def user(text: str) -> Chat:
    return [{"role": "user", "content": text}]


def samples_of(count: int, **columns: Any) -> pl.DataFrame:
    rows = [
        dict.fromkeys(SAMPLES) | {"id": f"s{at}", "prompt": user(f"question {at}"), "source": "t"} | columns
        for at in range(count)
    ]
    return pl.DataFrame(rows, schema=SAMPLES)


def candidates_of(count: int, texts: tuple[str, ...] = TEXTS) -> pl.DataFrame:
    """Give one candidate a text for each sample, through the row that a reply becomes."""
    rows = []
    for at in range(count):
        for sample, text in enumerate(texts):
            request = Request(user(f"question {at}"), Sampling(), "m", "1", sample)
            rows.append(candidate(f"s{at}", request, Reply(request.key, f"{text} {at}", "stop")))
    return pl.DataFrame(rows, schema=CANDIDATES)


def judged(answer: Answer, count: int, ledger: Ledger, texts: tuple[str, ...] = TEXTS) -> pl.DataFrame:
    """Give the preferences that a judge's answers lead to: compared in both orders, scored, selected, written out."""
    samples, candidates = samples_of(count), candidates_of(count, texts)
    by_id = samples_by_id(samples)
    engine, judge = Scripted(answer, revision=repr(answer)), preference()
    cases = list(cases_of(judge, candidates, by_id, 1))
    heard, _ = settle(members(judge, [engine]), cases, ledger=ledger, progress=lambda *_: None)
    rows = rows_of_verdicts("j", judge, heard, candidates)["comparisons"]
    table = table_of(candidates, pl.DataFrame(schema=SCORES), pl.DataFrame(rows, schema=COMPARISONS))
    return preference_rows(best_and_worst(table).pairs, table, samples, "best and worst")


def said(pairs: pl.DataFrame, side: str) -> list[str]:
    return [turns[-1]["content"] for turns in pairs[side]]


def by_text(better: str) -> Answer:
    """Prefer the reply that holds `better`, wherever it stands."""

    def answer(text: str) -> str:
        return "A" if text.index(better) < min(text.index(other) for other in TEXTS if other != better) else "B"

    return answer


def test_a_verdict_that_is_computed_decides(ledger: Ledger) -> None:
    def theirs(replies: list[str], verdict: str) -> tuple[str, str]:
        _best = replies["AB".index(verdict)]  # parsed, logged, and never used
        return replies[0], replies[1]

    assert theirs(list(TEXTS), "A") == theirs(list(TEXTS), "B")
    for better, worse in (TEXTS, TEXTS[::-1]):
        pairs = judged(by_text(better), 6, ledger)
        assert pairs.height == 6
        assert all(text.startswith(better) for text in said(pairs, "chosen"))
        assert all(text.startswith(worse) for text in said(pairs, "rejected"))


def test_one_unparsable_row_leaves_every_other_prompt_its_own_pair(ledger: Ledger) -> None:
    def theirs(prompts: list[str], answers: list[str]) -> list[tuple[str, str]]:
        parsed = [answer for answer in answers if answer.startswith("pair of")]  # the bad one is gone …
        return list(zip(prompts, parsed, strict=False))  # … and all later ones move up

    assert theirs(["q0", "q1", "q2"], ["pair of q0", "???", "pair of q2"])[1] == ("q1", "pair of q2")

    def answer(text: str) -> str | None:
        return "I can not say" if "question 1" in text else by_text(TEXTS[0])(text)

    pairs = judged(answer, 5, ledger)
    prompts = [turns[-1]["content"] for turns in pairs["prompt"]]
    assert prompts == [f"question {at}" for at in (0, 2, 3, 4)]
    assert [text[-1] for text in said(pairs, "chosen")] == [text[-1] for text in prompts]


def test_a_failed_parse_is_no_score_and_rejects_nothing(ledger: Ledger) -> None:
    def theirs(ratings: dict[str, str]) -> tuple[str, str]:
        scores = {text: float(said) if said.isdigit() else -1.0 for text, said in ratings.items()}
        return max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)

    assert theirs({"good": "great!", "poor": "2"}) == ("poor", "good")  # the better one is rejected for its judge
    assert theirs({"a": "3", "b": "3"}) == ("a", "a")  # and equal scores give one reply to both sides
    assert judged(lambda _text: "great!", 3, ledger).is_empty()
    rule = rating()
    assert [rule.read([Reply("k", text)]) for text in ("great!", "-1", "", "3")] == [None, None, None, 3.0]


def test_a_tie_is_no_pair(ledger: Ledger) -> None:
    def theirs(replies: list[str], wins: dict[str, int]) -> tuple[str, str]:
        ranked = sorted(replies, key=wins.__getitem__)
        best = [text for text in ranked if wins[text] == wins[ranked[-1]]][0]  # noqa: RUF015 - as it was written
        return best, ranked[0]

    assert theirs(["a", "b"], {"a": 1, "b": 1}) == ("a", "a")
    assert judged(lambda _text: "A", 4, ledger).is_empty()  # always the first place: one win each
    table = table_of(candidates_of(1, ("same", "same")), *(pl.DataFrame(schema=one) for one in (SCORES, COMPARISONS)))
    ids = table["id"].to_list()
    forced = Selection(table.select("id"), pl.DataFrame({"chosen_id": ids[:1], "rejected_id": ids[1:]}))
    with pytest.raises(ValueError, match="pairs of equal texts"):
        preference_rows(forced.pairs, table, samples_of(1), "forced")


def test_a_score_does_not_depend_on_the_padding_of_its_batch(reward_model: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(reward_model)
    model = AutoModelForSequenceClassification.from_pretrained(reward_model).eval()
    texts = tuple("5 is what it is. " * at for at in range(1, 5))

    def theirs(batch: tuple[str, ...]) -> list[float]:
        chats: Any = [[*user("question 0"), {"role": "assistant", "content": text}] for text in batch]
        rows: Any = [tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False) for chat in chats]
        longest = max(map(len, rows))
        padded = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            hidden = model.model(input_ids=padded).last_hidden_state
            scores: list[float] = model.score(hidden)[:, -1, 0].tolist()  # the last position: padding in all but one
        return scores

    alone = [theirs((text,))[0] for text in texts]
    assert theirs(texts)[-1] == pytest.approx(alone[-1], abs=1e-4)  # the longest has none
    assert all(abs(one - other) > 1e-2 for one, other in zip(theirs(texts)[:-1], alone[:-1], strict=True))
    samples, candidates = samples_by_id(samples_of(1)), candidates_of(1, texts)
    by_batch = [
        [row["score"] for row in verify_together("r", scored(model=reward_model, batch=batch), samples, candidates)]
        for batch in (1, 4)
    ]
    ours = [theirs((text,))[0] for text in candidates["text"]]  # each by itself: there is no padding to see
    assert by_batch[0] == pytest.approx(ours, abs=1e-4)
    assert by_batch[1] == pytest.approx(ours, abs=1e-4)


def test_an_edited_rubric_is_asked_anew(ledger: Ledger) -> None:
    def theirs(chat: Chat, model: str) -> tuple[str, str]:
        return model, chat[-1]["content"]  # the system's text is no part of the key

    def chat(rubric: str) -> Chat:
        return [{"role": "system", "content": rubric}, *user("Rate it.")]

    assert theirs(chat("Be strict."), "m") == theirs(chat("Be kind."), "m")
    engine = Scripted(lambda _text: "5")
    for rubric in ("Be strict.", "Be kind.", "Be strict."):
        ask([Request(chat(rubric), Sampling(), engine.model, engine.revision)], engine, ledger)
    assert [one.chat[0]["content"] for one in engine.asked] == ["Be strict.", "Be kind."]


def test_a_failure_of_the_machinery_is_no_bad_mark(ledger: Ledger) -> None:
    def theirs(run: Callable[[], bool]) -> float:
        try:
            return float(run())
        except Exception:  # noqa: BLE001 - as it was written
            return 0.0  # a server that was down scores like a wrong answer

    assert theirs(lambda: 1 // 0 > 0) == theirs(lambda: False)
    assert judged(lambda _text: None, 3, ledger).is_empty()
    broken = {"use": "judges.nowhere:nothing"}
    samples = samples_by_id(samples_of(1, check=orjson.dumps(broken).decode()))
    rows = verify("v", own(), samples, candidates_of(1)[:1], lambda *_: None)
    assert (rows[0]["score"], rows[0]["status"]) == (None, "error")
    failed = [row | {"score": None, "status": "timeout"} for row in rows]
    table = table_of(candidates_of(1), pl.DataFrame(failed, schema=SCORES), pl.DataFrame(schema=COMPARISONS))
    assert best_and_worst(table, minimum=0.0).pairs.is_empty()


def test_a_rating_is_the_number_that_was_said(tmp_path: Path) -> None:
    def theirs(text: str) -> float:
        found = re.search(r"10|[1-9]", text.replace(" ", ""))
        return float(found.group()) if found else -1.0

    assert theirs("1 0 errors found") == 10  # a 1, with what follows run into it
    assert sum(map(theirs, ("4", "N/A"))) / 2 == 1.5  # and "N/A" drags a mean down
    rule = rating(best=10)
    told = {
        text: rule.read([Reply("k", text)]) for text in ("1", "10", "1 0 errors found", "N/A", "11", "1.5", "10/10")
    }
    assert told == {"1": 1, "10": 10} | dict.fromkeys(("1 0 errors found", "N/A", "11", "1.5", "10/10"))
    rows = [
        {"prompt": f"q{at}", "chosen": "a", "rejected": "b", "score_chosen": score, "score_rejected": 1}
        for at, score in enumerate((4, "N/A"))
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    data = read_preferences(str(tmp_path / "rows.jsonl"))
    assert (data.pairs.height, data.unread.height) == (1, 1)


def test_a_malformed_answer_shifts_no_other_rating(ledger: Ledger) -> None:
    def theirs(text: str) -> list[str]:
        return [block.rpartition(" ")[2] for block in text.split("\n\n")]

    assert theirs("First: 1\n\nSecond: bad\n\nreally 2\n\nThird: 3")[2] == "2"  # the third's rating is the second's
    rule = rating()
    texts = ("1", "2\n\n2", "3")
    by_row = {f"reply {at}": text for at, text in enumerate(texts)}
    engine = Scripted(lambda chat: next(said for row, said in by_row.items() if row in chat))
    chats = [rule.ask(_sample(f"reply {at}"))[0].chat for at in range(3)]
    requests = [Request(chat, Sampling(), engine.model, engine.revision) for chat in chats]
    read = [rule.read([reply]) for reply in ask(requests, engine, ledger).replies]
    assert read == [1.0, None, 3.0]


def _sample(reply: str) -> Sample:
    none: Any = dict.fromkeys(Sample.__annotations__)
    made: Sample = none | {"id": reply, "prompt": user("q"), "reply": reply}
    return made


def test_the_labels_yes_and_no_stay_texts(tmp_path: Path) -> None:
    assert yaml.safe_load("labels: [yes, no, on, off]") == {"labels": [True, False, True, False]}  # YAML 1.1
    (tmp_path / "rows.yaml").write_text("- {prompt: q, label: yes}\n- {prompt: r, label: no}\n")
    recipe = 'name = "r"\n[[sources]]\npath = "{rows}"\n[engines.e]\nuse = "generators.vllm:local"\nmodel = "m"\n'
    (tmp_path / "r.toml").write_text(
        recipe.replace("{rows}", str(tmp_path / "rows.yaml")) + '[generate]\nengine = "e"\nstop = ["yes", "no"]\n'
    )
    section = Recipe.read(tmp_path / "r.toml").generate
    assert section is not None
    assert section.stop == ("yes", "no")
    assert [row.value for row in rows_of(tmp_path / "rows.yaml")] == [
        {"prompt": "q", "label": "yes"},
        {"prompt": "r", "label": "no"},
    ]
