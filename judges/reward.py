"""Reward models: sequence-classification checkpoints with one output, the higher the better (Bradley-Terry)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.chats import Chat, Message, content_id
from schemas.errors import EngineError
from schemas.tables import Sample
from schemas.verdicts import BatchVerifier, Verdict

Floats = npt.NDArray[np.float64]
LOOKED_AT = ("*.json", "*.safetensors", "*.jinja", "*.model")


def scored(
    *, model: str | list[str], revision: str = "main", batch: int = 16, max_length: int = 2_048
) -> BatchVerifier:
    """Give the reward model's score of the reply, any number; of several models the mean, `extracted` their deviation.

    The chat template says how prompt and reply are laid out. A score does not depend on the replies scored beside it:
    the padding is on the right, where no token sees it. No verdict: a chat of more than `max_length` tokens, a score
    that is no number. `revision` is of models named on the hub.
    Raises `EngineError` for a checkpoint that is no reward model.
    """
    paths = [model] if isinstance(model, str) else model
    scorers = [Scorer(path, revision, batch, max_length) for path in paths]

    def verify(rows: Sequence[tuple[str, Sample]]) -> list[Verdict]:
        chats: list[Chat] = [
            [*map(_plain, one["prompt"]), {"role": "assistant", "content": text}] for text, one in rows
        ]
        made = []
        for scorer in scorers:
            made.append(scorer(chats))
            if len(scorers) > 1:  # the device holds one
                scorer.close()
        return [_verdict([scores[at] for scores in made], max_length) for at in range(len(rows))]

    def close() -> None:
        for scorer in scorers:
            scorer.close()

    return BatchVerifier(verify, content_id(*(scorer.revision for scorer in scorers)), close)


def _plain(message: Message) -> Message:
    """Leave out a null under `tool_calls`, by which some chat templates take a turn for a call."""
    return message if message.get("tool_calls") else {"role": message["role"], "content": message["content"]}


def _verdict(scores: Sequence[float | None], max_length: int) -> Verdict:
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return Verdict(None, "error", f"the chat has more than {max_length} tokens")
    if not np.isfinite(known).all():
        return Verdict(None, "error", f"the reward model gave {known}")
    apart = f"deviation {np.std(known):.6g} of {len(known)}" if len(known) > 1 else None
    return Verdict(float(np.mean(known)), extracted=apart)


@dataclass(eq=False)
class Scorer:
    """One reward model, loaded when first asked; gives a score for each chat, null for one of too many tokens."""

    path: str
    hub_revision: str = "main"
    batch: int = 16
    max_length: int = 2_048
    _loaded: tuple[Any, Any] | None = field(default=None, init=False)

    @property
    def revision(self) -> str:
        """What the weights are: their content hash, or the hub's revision."""
        folder = Path(self.path)
        if not folder.is_dir():
            return f"{self.path}@{self.hub_revision}"
        files = sorted(file for kind in LOOKED_AT for file in folder.glob(kind))
        return content_id(*(_digest(file) for file in files))

    def __call__(self, chats: Sequence[Chat]) -> list[float | None]:
        """Score `chats`, each ending with the reply, in their order."""
        tokenizer, model = self._load()
        rows = [tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False) for chat in chats]
        order = [
            at for at in sorted(range(len(rows)), key=lambda at: len(rows[at])) if len(rows[at]) <= self.max_length
        ]
        scores: list[float | None] = [None] * len(rows)
        step = self.batch if tokenizer.pad_token_id is not None else 1
        for start in range(0, len(order), step):
            places = order[start : start + step]
            for at, score in zip(places, _scores(tokenizer, model, [rows[at] for at in places]), strict=True):
                scores[at] = float(score)
        return scores

    def close(self) -> None:
        """Free the device."""
        self._loaded = None

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()  # type: ignore[no-untyped-call] # a run says itself how far it is

            revision = {} if Path(self.path).is_dir() else {"revision": self.hub_revision}
            try:
                config = AutoConfig.from_pretrained(self.path, **revision)
                tokenizer = AutoTokenizer.from_pretrained(self.path, padding_side="right", **revision)
            except (OSError, ValueError) as error:
                raise EngineError(f"reward model {self.path!r}: it can't be read: {error}") from error
            kind = " ".join(config.architectures or ["nothing"])
            if "SequenceClassification" not in kind or config.num_labels != 1:
                told = f"it is {kind} with {config.num_labels} output(s)"
                raise EngineError(f"reward model {self.path!r}: {told}; expected a sequence classifier with one")
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model = AutoModelForSequenceClassification.from_pretrained(self.path, config=config, **revision)
            model.config.pad_token_id = tokenizer.pad_token_id  # by which the reply's last token is found
            self._loaded = tokenizer, model.to(device).eval()
        return self._loaded


def _scores(tokenizer: Any, model: Any, rows: Sequence[Sequence[int]]) -> Floats:
    import torch

    told = {"input_ids": list(map(list, rows))}
    padded = tokenizer.pad(told, return_tensors="pt") if len(rows) > 1 else {"input_ids": torch.tensor([rows[0]])}
    with torch.inference_mode():
        logits = model(**{name: values.to(model.device) for name, values in padded.items()}).logits
    return np.asarray(logits[:, 0].float().cpu().numpy(), dtype=np.float64)


def _digest(file: Path) -> tuple[str, str]:
    with file.open("rb") as content:
        return file.name, hashlib.file_digest(content, "sha256").hexdigest()


def loss(margins: npt.ArrayLike, preferred: npt.ArrayLike = 1.0) -> float:
    """Give the mean Bradley-Terry loss (nats) of the scores of first less second replies.

    `preferred` is how far the first is preferred: 1, 0, or between (0.5 a tie).
    Source: arXiv 1706.03741, equation 1.
    """
    gaps, wins = np.asarray(margins, dtype=np.float64), np.asarray(preferred, dtype=np.float64)
    return float((np.logaddexp(0, gaps) - wins * gaps).mean())


def disagreement(margins: Sequence[Sequence[float]]) -> Floats:
    """Give for each pair how far the members of an ensemble are apart: the deviation of their probabilities.

    `margins` holds a row a member, in it the score of the chosen reply less that of the rejected one for each pair.
    """
    return np.asarray((1 / (1 + np.exp(-np.asarray(margins, dtype=np.float64)))).std(axis=0))
