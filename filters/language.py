"""A rule on the language of a text."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from filters.texts import Part, text
from schemas.rules import Rule

LANGUAGES = (
    *("ar", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko"),
    *("nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"),
)
OTHER = r'"[^"\n]*"|“[^”\n]*”|`[^`]*`|https?://\S+|[\d_+*/=<>{}\[\]\\|#$%^&~-]+'  # quoted, code marks, digits
BYTES = 400  # of a text that are looked at: more cost time and hardly change the answer
BATCH = 20_000  # texts walked at a time


def probability(*, language: str = "en", part: Part = "prompt", letters: int = 25, minimum: float = 0.02) -> Rule:
    """Probability that `part` is in `language` (ISO 639-1), by langid's model over 30 languages. Kept: from `minimum`.

    The highest of the whole and of its paragraphs: a task on a foreign text is in the language it is set in. Quoted
    text, digits and code marks are left out first; what has below `letters` letters is not measured (one of two bytes
    counts 2, one of three 3), and the first 400 bytes of each are looked at. A reply may well be in another language
    where it translates.
    Source: py3langid (the model of Lui and Baldwin, ACL 2012), whose weights come with its package. Raises `ValueError`
    for another language and for a minimum above 1.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language is {language!r}; known are {', '.join(LANGUAGES)}")
    if minimum > 1:
        raise ValueError(f"minimum is {minimum}; a probability is 1 at most")

    def measure(samples: pl.DataFrame) -> pl.Series:
        told = samples.select(text=text(part)).with_row_index()
        whole = told.with_columns(pl.col("text").str.slice(0, 2 * BYTES))
        paragraphs = told.with_columns(pl.col("text").str.split("\n\n")).explode("text")
        pieces = pl.concat([whole, paragraphs.filter(pl.col("text").str.len_bytes() >= letters)])
        pieces = pieces.with_columns(pl.col("text").str.replace_all(OTHER, " ").str.slice(0, BYTES)).unique()
        pieces = pieces.filter(pl.col("text").str.replace_all(r"\PL+", "").str.len_bytes() >= letters)
        column = probabilities(pieces["text"])[:, LANGUAGES.index(language)]
        best = pieces.select("index", value=column.astype(np.float64)).group_by("index").agg(pl.col("value").max())
        return told.join(best, on="index", how="left", maintain_order="left")["value"]

    return Rule(measure, minimum, None)


def probabilities(texts: pl.Series) -> npt.NDArray[np.float32]:
    """Give each text's probability of each of `LANGUAGES`, in their order, a row a text: what `rank` gives one by one.

    The texts are walked through the model's automaton together, a byte of each at a time.
    """
    told = pl.col("text")
    shouted = (told == told.str.to_uppercase()) & (told != told.str.to_lowercase())
    plain = texts.to_frame("text").select(pl.when(shouted).then(told.str.to_lowercase()).otherwise(told))
    encoded = plain["text"].str.normalize("NFC")
    raw = [words.encode()[:BYTES] for words in encoded]
    parts = [_batch(raw[start : start + BATCH]) for start in range(0, len(raw), BATCH)]
    return np.concatenate(parts) if parts else np.empty((0, len(LANGUAGES)), np.float32)


def _batch(raw: Sequence[bytes]) -> npt.NDArray[np.float32]:
    model = _model()
    lengths = np.array([len(told) for told in raw])
    order = np.argsort(-lengths, kind="stable")  # the longest first: those still being read are the first so many
    letters = np.zeros((len(raw), lengths.max(initial=0)), np.uint8)
    for place, row in enumerate(order):
        letters[place, : lengths[row]] = np.frombuffer(raw[row], np.uint8)
    state = np.zeros(len(raw), np.int64)
    keys = []
    for at in range(letters.shape[1]):
        reading = int(np.searchsorted(-lengths[order], -at))
        state = model.moves[model.rows[state[:reading]] + letters[:reading, at]].astype(np.int64)
        feature = model.output[state]
        hit = np.flatnonzero(feature >= 0)
        keys.append(hit * model.width + feature[hit])
    return _softmax(_scores(np.concatenate([*keys, np.empty(0, np.int64)]), len(raw)), lengths[order])[
        np.argsort(order)
    ]


def _scores(keys: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.float32]:
    """Give the naive Bayes scores: the sum of log(1 + count) times the feature's weights, and the prior."""
    model = _model()
    found, counts = np.unique(keys, return_counts=True)
    row, feature = np.divmod(found, model.width)
    scores = np.zeros((rows, len(LANGUAGES)), np.float32)
    weights = np.log1p(counts.astype(np.float32))
    for start in range(0, len(found), 500_000):
        piece = slice(start, start + 500_000)
        first = np.flatnonzero(np.diff(row[piece], prepend=-1))
        sums = np.add.reduceat(model.table[feature[piece]] * weights[piece, None], first, axis=0)
        scores[row[piece][first]] += sums
    scores[np.unique(row)] += model.prior
    return scores


def _softmax(scores: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Give probabilities, at the temperature that py3langid uses: the root of the text's bytes."""
    cooled = scores / np.sqrt(np.maximum(lengths, 1))[:, None]
    raised = np.exp(cooled - cooled.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float32] = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


class _Model:
    """The model's arrays: the automaton's moves, what each state puts out, and the weights of `LANGUAGES`."""

    def __init__(self, identifier: Any) -> None:
        self.moves = np.asarray(identifier.tk_nextmove)
        self.rows = np.asarray(identifier.tk_row, np.int64) << 8
        self.output = np.asarray(identifier.tk_output, np.int64)
        self.width = int(self.output.max()) + 1
        columns = [list(identifier.nb_classes).index(language) for language in LANGUAGES]
        self.table = np.asarray(identifier.nb_ptc, np.float32)[:, columns]
        self.prior = np.asarray(identifier.nb_pc, np.float32)[columns]


@cache
def _model() -> _Model:
    """Load the model once a process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return _Model(identifier)
