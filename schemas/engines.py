"""Requests, replies, and the one protocol through which every model is reached."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from schemas.chats import Chat, content_id

if TYPE_CHECKING:  # an embedder has it loaded; others need it not
    from schemas.vectors import Vectors

ADDED = {  # later fields: left out of a key at these values, so that answers kept before there were any are found again
    "continuation": None,
    "writes": "assistant",
    "top_k": 0,
    "min_p": 0.0,
    "schema": None,
    "choice_logprobs": False,
}


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. All of it is part of the request's key.

    `temperature` 0 is greedy; `max_tokens` bounds the answer, not the prompt; `top_k` keeps the so many likeliest
    tokens (0: all), `min_p` those with at least that fraction of the likeliest one's probability. `choices`, if any,
    are the only answers allowed; `schema` is the text of a JSON schema that the answer fits unless `max_tokens` cut it.
    `logprob` asks for the answer's summed log-probability (nats) before temperature, top-p and their like, but under
    `choices` and `schema`; `choice_logprobs` for each choice's among the choices, by the answer's first token.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int = 0
    choices: tuple[str, ...] = ()
    logprob: bool = False
    top_k: int = 0
    min_p: float = 0.0
    schema: str | None = None
    choice_logprobs: bool = False


@dataclass(frozen=True)
class Request:
    """One answer that is wanted: the `sample`-th (from 0) answer of `model` at `revision` to `chat`.

    `tools` is the JSON text of OpenAI's `tools`, or null. The engine's own seed for the answer is `seed`, so that two
    samples of one chat differ and each can be had again. With a `continuation` no answer is drawn: the reply's text is
    the continuation, its `logprob` and `reply_tokens` those of the continuation after the chat (after nothing, where
    the chat is empty). Where `writes` is "user" the answer is the user's next turn after the chat, which may be empty,
    written by the model from the prefix that its chat template opens a user's turn with. An engine that can't do one of
    these says so as the reply's error.
    """

    chat: Chat
    sampling: Sampling
    model: str
    revision: str
    sample: int = 0
    tools: str | None = None
    continuation: str | None = None
    writes: Literal["assistant", "user"] = "assistant"

    @property
    def said(self) -> dict[str, Any]:
        """Everything that can change the answer, by field."""
        return {
            "chat": self.chat,
            "sampling": _said(vars(self.sampling)),
            **_said({name: value for name, value in vars(self).items() if name not in {"chat", "sampling", "key"}}),
        }

    @cached_property
    def key(self) -> str:
        """The content hash of everything that can change the answer."""
        return content_id(self.said)

    @property
    def seed(self) -> int:
        """The seed of this one answer, 0 to 2**31 - 1, from the recipe's seed and the whole request."""
        return int(self.key[:8], 16) & 0x7FFFFFFF


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in ADDED or value != ADDED[name]}


@dataclass(frozen=True)
class Reply:
    """The answer to the request named `key`, or the `error` met instead; then `text` is null.

    `model` is who answered where that differs from the model asked (a replayed record). `finish_reason` is "stop" or
    "length"; token counts are null where the engine doesn't tell; `logprob` is in nats, null unless asked for, as are
    `choice_logprobs`, by choice: null for one that the first token doesn't tell from another, or that is not among the
    20 likeliest.
    """

    key: str
    text: str | None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    logprob: float | None = None
    model: str | None = None
    error: str | None = None
    choice_logprobs: dict[str, float | None] | None = None


class Engine(Protocol):
    """Anything that answers chats. Replies come as they are ready, each naming its request by key.

    A request that fails comes back as a reply with an `error`; an engine that can't go on raises `EngineError`.
    Nothing heavy happens before the first request is asked. `revision` is what the weights are: their content hash,
    or what the server says. `close` frees the device, may be called twice, and the next call starts anew.
    """

    @property
    def model(self) -> str:
        """The name that requests ask for."""
        ...

    @property
    def revision(self) -> str:
        """What the weights are."""
        ...

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer `requests`, in any order."""
        ...

    def close(self) -> None:
        """Free the device."""
        ...


class Embedder(Protocol):
    """Anything that turns texts into vectors. `model`, `revision` and `close` are as an `Engine`'s."""

    @property
    def model(self) -> str:
        """The name that the vectors are kept under."""
        ...

    @property
    def revision(self) -> str:
        """What the weights are."""
        ...

    def __call__(self, texts: Sequence[str], /) -> "Vectors":
        """Give a vector of length 1 for each text, in their order: shape (texts, dimensions)."""
        ...

    def close(self) -> None:
        """Free the device."""
        ...
