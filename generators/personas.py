"""Personas: who might ask, then what they ask for."""

from pathlib import Path

from generators.texts import ONE_TURN, asked, draft, only, question
from schemas.prompts import Ask, Draft, Grower, Growth, Unread


def personas(*, path: str | None = None) -> Grower:
    """A prompt that a described person would write; the person is inferred from a sample's prompt, which is an example.

    With `path`, a text file of one description a line, the person is drawn from it and nothing is inferred. Persona Hub
    (arXiv 2406.20094: text-to-persona in section 2.1, prompts from personas in section 3). Parents have one user's
    turn. Raises `ValueError` for a file that can't be read or has no description.
    """
    known = _known(path) if path is not None else []

    def ask(growth: Growth) -> Ask | None:
        example = asked(growth.parents[0])
        if len(growth.replies) == (1 if known else 2):
            return None
        if not known and not growth.replies:
            return question("persona", example)
        person = growth.random().choice(known) if known else only(growth.replies[0], "persona")
        return question("prompt_of_persona", person, example) if isinstance(person, str) else None

    def read(growth: Growth) -> list[Draft | Unread]:
        if not known and len(growth.replies) == 1:
            return draft(only(growth.replies[0], "persona"))  # which is unread, or there would be a second reply
        return draft(only(growth.replies[-1], "prompt"))

    return Grower(ask, read, fits=ONE_TURN, files=() if path is None else (path,))


def _known(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the personas in {path!r} can't be read: {error}; expected a description a line") from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ValueError(f"{path!r} has no persona; expected a description a line")
    return found
