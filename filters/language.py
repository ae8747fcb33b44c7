"""A rule on the language of a text."""

from functools import cache
from typing import Any

import polars as pl

from filters.texts import Part, text
from schemas.rules import Rule

LANGUAGES = (
    *("ar", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko"),
    *("nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"),
)


def probability(*, language: str = "en", part: Part = "prompt", letters: int = 25, minimum: float = 0.1) -> Rule:
    """Probability that `part` is in `language` (ISO 639-1), by langid's model over 30 languages. Kept: from `minimum`.

    Quoted text, digits and code marks are left out first; below `letters` letters the language is not measured.
    Source: py3langid (the model of Lui and Baldwin, ACL 2012), whose weights come with its package.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language is {language!r}; known are {', '.join(LANGUAGES)}")

    def measure(samples: pl.DataFrame) -> pl.Series:
        prose = text(part).str.replace_all(r'"[^"\n]*"|`[^`]*`|https?://\S+|[\d_+*/=<>{}\[\]\\|#$%^&~-]+', " ")
        texts = samples.select(prose.alias("text"))["text"]
        return pl.Series([_probability(words, language, letters) for words in texts], dtype=pl.Float64)

    return Rule(measure, minimum, None)


def _probability(words: str | None, language: str, letters: int) -> float | None:
    if words is None or sum(map(str.isalpha, words)) < letters:
        return None
    ranked: dict[str, float] = dict(_identifier().rank(words))
    return ranked.get(language, 0.0)


@cache
def _identifier() -> Any:
    """Load the model once a process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return identifier
