"""What the tests ask of vLLM."""

from schemas.chats import Chat
from schemas.engines import Engine, Request, Sampling

QUESTION = "Tom has 3 apples and buys 4 more. How many apples does he have?"
RANDOM = Sampling(temperature=1.0, max_tokens=24)
GREEDY = Sampling(temperature=0.0, max_tokens=24)


def requests(
    engine: Engine, prompt: str = QUESTION, samples: int = 1, sampling: Sampling = RANDOM, tools: str | None = None
) -> list[Request]:
    chat: Chat = [{"role": "user", "content": prompt}]
    return [Request(chat, sampling, engine.model, engine.revision, sample, tools) for sample in range(samples)]
