"""Keys, tokens, passwords and private keys in a text, by the form their issuers give them."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

OWN = (  # beside detect-secrets': forms that it doesn't know, or knows in part
    r"\bhf_[A-Za-z0-9]{30,}\b",  # a Hugging Face token
    r"\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{32,}",  # an OpenAI-like key, the newer kinds too
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",  # a Slack token
    r"\bAIza[A-Za-z0-9_-]{35}",  # a Google key
    r"\bgithub_pat_[A-Za-z0-9_]{22,}",
    r"\bnpm_[A-Za-z0-9]{36}\b",
    r"(?<=_authToken=)[A-Fa-f0-9-]{36}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:[\s\S]*?-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----)?",
)
LOGIN = re.compile(r"://[^\s:/?#\[\]@]*:([^\s:/?#\[\]@]+)@(?=[^\s@])")  # a URL's password
STAND_IN = re.compile(  # {password}, <password>, $PASSWORD, %s, ***, xxx, or the word itself
    r"(?i)[{<$(].*|%[sd(].*|%\w+%|[\W_]+|x+|(?:(?:your|my|the|some|db|user)[-_]?)?"
    r"(?:pass(?:word|wd|phrase)?|pwd|pw|secret|token|(?:api[-_]?)?key|credentials?|change-?me)"
)
FILLER = re.compile(r"(.)\1{7}")  # sk-xxxxxxxx is no key; a private key's lines may hold such a run
VALUE = 8  # characters from which a group of detect-secrets' forms is the secret, and not the prefix of one
HINT = (
    r"[A-Za-z0-9_+/=-]{20}|://[^\s/@]*:[^\s/@]+@|AKC[A-Za-z0-9]{10}|AP[0-9A-F][A-Za-z0-9]{8}|xox[abeoprs]-|-----BEGIN"
)


def credentials(words: str) -> Iterator[tuple[int, int]]:
    """Give where `words` holds secrets, those that a template leaves open not counted: `ann:{password}@host`.

    Source: the form detectors of detect-secrets (those by entropy and by keyword raise false alarms), and more forms.
    """
    if not re.search(HINT, words):
        return
    bare = re.sub(r"[^\x00-\x7f]", "\0", words)  # a letter of another script ends a key as a blank does
    for form in OWN:
        spans = (found.span() for found in re.finditer(form, bare))
        yield from (
            span for span in spans if bare.startswith("-----", span[0]) or not FILLER.search(bare[slice(*span)])
        )
    yield from (found.span(1) for found in LOGIN.finditer(bare) if not STAND_IN.fullmatch(found.group(1)))
    for detector in _detectors():
        yield from (span for span in _detected(detector, bare) if not FILLER.search(bare[slice(*span)]))


def _detected(detector: Any, bare: str) -> Iterator[tuple[int, int]]:
    """Give what a detector of detect-secrets finds: where, to the end of the token, which it doesn't tell itself."""
    sound = getattr(detector, "is_formally_valid", None)  # of a JSON web token
    for form in detector.denylist:
        for found in form.finditer(bare):
            group = next((at for at in range(1, form.groups + 1) if len(found.group(at) or "") >= VALUE), 0)
            if sound is None or sound(found.group(group)):
                rest = re.compile(r"[A-Za-z0-9_-]*").match(bare, found.end(group))
                yield found.start(group), rest.end() if rest else found.end(group)


@cache
def _detectors() -> tuple[Any, ...]:
    """Give detect-secrets' detectors of forms, but for those of which `OWN` and `LOGIN` tell more."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    left = {"KeywordDetector", "IPPublicDetector", "PrivateKeyDetector", "BasicAuthDetector", "NpmDetector"}
    known: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    return tuple(kind() for kind in known if issubclass(kind, RegexBasedDetector) and kind.__name__ not in left)
