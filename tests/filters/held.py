"""One of each kind of private data, made up, and rows that hold it."""

import json
from collections.abc import Callable

import polars as pl

from filters import private
from filters.private import Kind
from schemas.rules import Rule
from schemas.tables import SAMPLES

KEY = "AKIA" + "Q7" * 8
HELD: dict[Kind, str] = {
    "email": "ann.lee+x@mail.somewhere.co.uk",
    "phone": "+49 30 901820",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ip": "8.8.8.8",
    "secret": KEY,
}
RULES: dict[Kind, Callable[..., Rule]] = {
    "secret": private.secrets,
    "email": private.emails,
    "iban": private.ibans,
    "card": private.cards,
    "ip": private.addresses,
    "phone": private.phones,
}


def sample(**columns: object) -> pl.DataFrame:
    """Give one row that holds nothing private but what `columns` say."""
    message = {"role": "user", "content": "Hello", "tool_calls": None}
    row = dict.fromkeys(SAMPLES) | {"id": "1", "prompt": [message], "reply": "Hello"} | columns
    return pl.DataFrame([row], schema=SAMPLES)


def everywhere(told: str) -> pl.DataFrame:
    """Give one row with `told` once in each place but the prompt, and there three times."""
    calls = json.dumps([{"name": "mail", "arguments": {"to": told}}])
    return sample(
        prompt=[
            {"role": "system", "content": f"You are {told}.", "tool_calls": None},
            {"role": "assistant", "content": f"I am {told}.", "tool_calls": calls},
            {"role": "user", "content": None, "tool_calls": None},
        ],
        reply=f"It is {told}!",
        replies=[{"text": f"No, {told}.", "score": 1.0}, {"text": None, "score": None}],
        reference=told,
        check=json.dumps({"use": "judges.answers:exact", "text": told}),
        tools=json.dumps([{"name": told}]),
    )
