"""transformers in this process: the fallback that needs nothing beyond the project's own environment."""

import gc
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from generators.decoding import Answer
from generators.messages import messages, tools
from generators.rendering import prompt_tokens
from generators.weights import is_folder, model_name, version
from schemas.engines import Engine, Reply, Request

if TYPE_CHECKING:
    import torch

WINDOW = 16  # batches' worth of requests that are read ahead, so that those of like length go together
NO_SCHEMA = "transformers can't hold an answer to a JSON schema; generators.vllm:local can"
NO_USERS = "transformers writes no user's turn here; generators.vllm:local does"


def local(
    *,
    model: str,
    revision: str = "main",
    dtype: str | None = None,
    batch: int = 16,
    adapter: str | None = None,
    device: str | None = None,
) -> Engine:
    """Answer with the model in the folder `model`, or with the hub's `model` at `revision`, `batch` requests at once.

    It is loaded with the first request and kept until `close`, on `device` ("cuda:1"; the accelerator where there is
    one unless given). `dtype` is float32 without an accelerator and the weights' own with one unless given. `adapter`
    is a folder with a LoRA adapter of the model. Every answer has a random generator of its own, so that it is the same
    in any batch but for what rounding does to nearly equal tokens. A JSON schema is an error reply.
    """
    return _Local(model, revision, dtype, batch, adapter, device)


@dataclass(frozen=True)
class _Prompt:
    """A request as tokens; the last `scored` of them are the continuation whose likelihood is asked."""

    request: Request
    tokens: list[int]
    scored: int


@dataclass(eq=False)
class _Local:
    path: str
    hub_revision: str
    dtype: str | None
    batch: int
    adapter: str | None
    device: str | None
    _loaded: tuple[Any, Any] | None = field(default=None, init=False)

    @property
    def model(self) -> str:
        return model_name(self.path)

    @property
    def devices(self) -> str | None:
        """What `generators.turns` keeps other engines off."""
        return self.device

    @property
    def revision(self) -> str:
        return version(self.path, self.hub_revision, "transformers", self.dtype, adapter=self.adapter)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        waiting = iter(requests)
        while window := list(islice(waiting, WINDOW * self.batch)):
            read = [self._read(request) for request in window]
            yield from (one for one in read if isinstance(one, Reply))
            prompts = sorted((one for one in read if isinstance(one, _Prompt)), key=lambda one: len(one.tokens))
            for asked, answer in (
                ([one for one in prompts if one.request.continuation is None], self._answered),
                ([one for one in prompts if one.request.continuation is not None], self._scored),
            ):
                for start in range(0, len(asked), self.batch):
                    yield from answer(asked[start : start + self.batch])

    def close(self) -> None:
        if self._loaded is not None:
            import torch

            self._loaded = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _read(self, request: Request) -> _Prompt | Reply:
        tokenizer, model = self._load()
        if request.sampling.schema is not None:
            return Reply(request.key, None, error=NO_SCHEMA)
        if request.writes == "user":
            return Reply(request.key, None, error=NO_USERS)
        told: dict[str, Any] = {
            "messages": messages(request),
            "tools": tools(request),
            "continuation": request.continuation,
        }
        try:
            tokens = prompt_tokens(tokenizer, told)
        except Exception as error:  # noqa: BLE001 - what a chat template raises at a chat is its own affair
            return Reply(request.key, None, error=f"{type(error).__name__}: {error}")
        most = model.config.max_position_embeddings
        if len(tokens) > most - (request.continuation is None):
            return Reply(request.key, None, error=f"{len(tokens)} tokens; the model's context length is {most}")
        return _Prompt(request, tokens, told.get("scored", 0))

    def _answered(self, prompts: Sequence[_Prompt]) -> list[Reply]:
        import torch

        tokenizer, model = self._load()
        ends, most = _ends(tokenizer, model), model.config.max_position_embeddings
        answers = [
            Answer(one.request, tokenizer, size, min(one.request.sampling.max_tokens, most - size), ends)
            for one in prompts
            for size in [len(one.tokens)]
        ]
        fields, kept = _padded(prompts, model.device), None
        with torch.inference_mode():
            while True:
                told = model(**fields, past_key_values=kept, use_cache=True, logits_to_keep=1)
                logits, kept = told.logits[:, -1].float().cpu(), told.past_key_values
                drawn = [
                    0 if one.finish_reason else one.draw(row) for one, row in zip(answers, logits, strict=True)
                ]  # one that is done is fed anything until all are
                if all(one.finish_reason for one in answers):
                    return [one.reply() for one in answers]
                fields = _next(fields, drawn)

    def _scored(self, prompts: Sequence[_Prompt]) -> Iterator[Reply]:
        import torch

        _, model = self._load()
        most = max(one.scored for one in prompts)
        with torch.inference_mode():
            told = model(**_padded(prompts, model.device), logits_to_keep=most + 1).logits.float().cpu()
        for one, logits in zip(prompts, told, strict=True):
            size, ends = one.scored, torch.tensor(one.tokens[len(one.tokens) - one.scored :], dtype=torch.long)
            logs = logits[len(logits) - size - 1 : -1].log_softmax(-1).gather(1, ends[:, None])
            text = one.request.continuation
            before = len(one.tokens) - size
            yield Reply(one.request.key, text, "stop", before, size, logprob=float(logs.sum()))

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()  # type: ignore[no-untyped-call] # a run says itself how far it is
            accelerator = torch.cuda.is_available()
            revision = {} if is_folder(self.path) else {"revision": self.hub_revision}
            dtype = self.dtype or ("auto" if accelerator else "float32")
            tokenizer = AutoTokenizer.from_pretrained(self.path, **revision)
            model: Any = AutoModelForCausalLM.from_pretrained(self.path, dtype=dtype, **revision)
            if self.adapter is not None:
                model = _adapted(model, self.adapter)
            self._loaded = tokenizer, model.to(self.device or ("cuda" if accelerator else "cpu")).eval()
        return self._loaded


def _adapted(model: Any, adapter: str) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT reads what transformers has renamed
        return PeftModel.from_pretrained(model, adapter)


def _ends(tokenizer: Any, model: Any) -> frozenset[int]:
    """Give the tokens that end an answer, as the model's generation_config.json has them."""
    told = model.generation_config.eos_token_id
    told = tokenizer.eos_token_id if told is None else told
    return frozenset(told if isinstance(told, list) else [told])


def _padded(prompts: Sequence[_Prompt], device: Any) -> dict[str, "torch.Tensor"]:
    """Give the prompts as the model takes them, padded on the left: all end together."""
    import torch

    length = max(len(one.tokens) for one in prompts)
    gaps = [length - len(one.tokens) for one in prompts]
    tokens = torch.tensor([[0] * gap + one.tokens for one, gap in zip(prompts, gaps, strict=True)], device=device)
    mask = torch.tensor([[0] * gap + [1] * (length - gap) for gap in gaps], device=device)
    return {"input_ids": tokens, "attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def _next(fields: dict[str, "torch.Tensor"], drawn: Sequence[int]) -> dict[str, "torch.Tensor"]:
    """Give what the model takes for the tokens just drawn."""
    import torch

    mask, positions = fields["attention_mask"], fields["position_ids"]
    return {
        "input_ids": torch.tensor(drawn, device=mask.device)[:, None],
        "attention_mask": torch.cat([mask, mask.new_ones(len(drawn), 1)], 1),
        "position_ids": positions[:, -1:] + 1,
    }
