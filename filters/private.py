"""Rules on what must not be published: personal data and secrets, by their form."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import polars as pl

from filters import credentials
from filters.inside import COLUMNS, edited, holding, texts_edited
from filters.phones import numbers
from filters.texts import Part
from schemas.rules import Rule

Kind = Literal["secret", "email", "iban", "card", "ip", "phone"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # where two claim the same text, the earlier has it
Span = tuple[int, int, Kind]

EDGE, END = r"(?<![A-Za-z_\d.+-])", r"(?![A-Za-z_\d])"  # ASCII: Han and Hangul letters stand beside it unspaced
EMAIL = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
    + END
)
RESERVED = re.compile(r"(?i)[@.](?:example\.(?:com|org|net)|example|test|invalid|localhost)\Z")  # RFC 2606
CLONED = re.compile(r"(?:git|hg|svn)@")  # git@github.com:org/name.git is a place, and "git" nobody
REMOTE = re.compile(r":[\w.~-]*/|:[\w.-]+\.git\b")
IBAN = re.compile(rf"{EDGE}[A-Za-z]{{2}}\d\d(?: ?[A-Za-z0-9]{{4}}){{2,7}}(?: ?[A-Za-z0-9]{{1,3}})?{END}")
LENGTHS = range(15, 35)  # letters and digits of an account number, by country
CARD = re.compile(
    rf"{EDGE}(?:\d{{12,19}}|\d{{4}}(?: \d{{4}}){{2}} \d{{1,7}}|\d{{4}}(?:-\d{{4}}){{2}}-\d{{1,7}}"
    rf"|\d{{4}}([ -])\d{{6}}\1\d{{4,5}}){END}"
)
DIGITS = 2  # different ones at least: 0000 0000 0000 0000 has the right sum too
ISSUERS = re.compile(  # how the numbers of payment cards begin, and how long they are
    r"(?:4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"  # Discover
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|35(?:\d{14}|(?:2[89]|[3-8]\d)\d{13,15})|(?:2131|1800)\d{11}"  # JCB; made-up ones leave its range 3528 to 3589
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50|5[6-8]|6\d)\d{10,17})\Z"  # Maestro
)
OCTET, HEX = "[0-9]{1,3}", "[0-9A-Fa-f]{1,4}"
IP = re.compile(
    rf"{EDGE}(?<![=<>~!]=)(?<![=<>~!]= )(?<![~^]){OCTET}(?:\.{OCTET}){{3}}(?!\.?[A-Za-z_\d])"
    rf"|(?<![A-Za-z_\d:.])(?:[0-9A-Fa-f]{{4}}(?::{HEX}){{7}}"
    # What is given out begins with 2 or 3 (RFC 4291). In short form it must: B::C, A::f and l[1::2] are code.
    rf"|[23][0-9A-Fa-f]{{3}}(?::{HEX}){{0,5}}::(?:{HEX}(?::{HEX}){{0,5}})?)(?![A-Za-z_\d:]|\.\d)"
)
VERSION = re.compile(  # 1.2.3.4 after these is a version's or a section's number
    r"(?i)(?:(?<![A-Za-z])(?:v|ver|versions?|releases?|builds?|firmware|rev|revisions?|sections?|secs?|chapters?"
    r"|clauses?|articles?|paragraphs?|figures?|figs?|tables?|appendix|annex|oids?|kapitel|abschnitt)\b|§|版本|第)"
    r"[.:]?\s{0,3}(?:\d[\d.]*\s?(?:[,&\u2013-]|and|or|to|through)\s?(?:(?:and|or)\s)?)*\Z"
)
SAID = 60  # characters before a number that may call it a version
GROUPS = 3  # of an address of version 6 without letters: x[2000::25] has two, of four digits 2048:1024:512:256:… too
ESCAPED = re.compile(r"(?<!\\)\\+(?:u[0-9A-Fa-f]{4}|[nrtbf])")  # JSON's and code's: \njo@a.org isn't njo's
HINTS: dict[Kind, str] = {  # a text without a match has none of the kind: cheaper than looking for them
    "secret": credentials.HINT,
    "email": r"@[A-Za-z0-9-]+\.",
    "iban": r"[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2}",
    "card": r"(?:\d[ -]?){11}\d",
    "ip": r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]{4}:[0-9A-Fa-f]{0,4}:",
    "phone": r"(?:\d[\s()./\u2010\u2011-]{0,2}){6}\d",
}


def emails(*, part: Part = "conversation", reserved: bool = False, maximum: int = 0) -> Rule:
    """E-mail addresses in `part`; `reserved` ones (`@example.com`, RFC 2606) only when asked. Kept: to `maximum`."""
    return _counted("email", part, maximum, reserved=reserved)


def phones(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """Phone numbers in `part`, invented ones (555-0142, 1234567) not counted. Kept: up to `maximum`, inclusive.

    A number of 7 to 15 digits that a plan gives out (phonenumbers, libphonenumber's metadata), after a plus or words
    such as "phone:" and "call me on", or written as only phone numbers are: 299 792 458 alone is none.
    """
    return _counted("phone", part, maximum)


def cards(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """Payment card numbers in `part`: 12 to 19 digits, as many as their issuer's, of the right Luhn sum.

    Kept: up to `maximum`, inclusive. Source: ISO/IEC 7812-1, and the ranges of nine schemes.
    """
    return _counted("card", part, maximum)


def ibans(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """Bank account numbers in `part`, by form and check digits (ISO 13616, modulo 97). Kept: up to `maximum`."""
    return _counted("iban", part, maximum)


def addresses(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """IP addresses in `part`, of version 4 or 6, that are public; private and reserved ranges name nobody.

    Numbers of versions and sections (after "version", "section") are no addresses. Kept: up to `maximum`, inclusive.
    """
    return _counted("ip", part, maximum)


def secrets(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """Keys, tokens and private keys in `part`, by the form their issuers give them. Kept: up to `maximum`, inclusive.

    Source: the form detectors of detect-secrets (those by entropy and by keyword raise false alarms), and seven more.
    """
    return _counted("secret", part, maximum)


def _counted(kind: Kind, part: Part, maximum: int, *, reserved: bool = False) -> Rule:
    def measure(samples: pl.DataFrame) -> pl.Series:
        columns = [name for name in COLUMNS if name in samples.columns]
        told = samples.select(hinted=holding(part, HINTS[kind], columns)).with_row_index()
        rows = samples.filter(told["hinted"]).select(columns)
        full = (dict.fromkeys(COLUMNS) | row for row in rows.iter_rows(named=True))
        counts = [_held(row, kind, part, reserved=reserved) for row in full]
        found = told.filter("hinted").select("index", value=pl.Series(counts, dtype=pl.Float64))
        none = pl.when(pl.col("hinted").is_not_null()).then(0.0)
        joined = told.join(found, on="index", how="left", maintain_order="left")
        return joined.select(value=pl.coalesce("value", none))["value"]

    return Rule(measure, None, maximum)


def _held(row: dict[str, Any], kind: Kind, part: Part, *, reserved: bool) -> int:
    """Count what a row holds of a kind, in the texts that redaction edits."""
    count = 0

    def look(words: str, key: str) -> str:
        nonlocal count
        # A form may claim what another has first: an account number is no phone number.
        count += sum(found == kind for _, _, found in spans(words, KINDS, key))
        count += sum(bool(RESERVED.search(one.group())) for one in EMAIL.finditer(_unescaped(words))) if reserved else 0
        return words

    texts_edited(row, part, lambda _, told: told and edited(told, look))
    return count


def spans(words: str, kinds: tuple[Kind, ...], key: str = "") -> list[Span]:
    """Give where `words` holds something of one of `kinds`, from left to right, none within another.

    `key` is what JSON has the words under: {"phone": "467 3395"} says what the number is.
    """
    said = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", key) + ": " if key else ""
    told = said + _unescaped(words)
    taken: list[Span] = []
    for kind in KINDS:
        if kind in kinds or kind != KINDS[-1]:  # the last kind takes nothing from another
            for start, end in FINDERS[kind](told):
                if all(end <= other[0] or start >= other[1] for other in taken):
                    taken.append((start, end, kind))
    shift = len(said)
    return sorted((start - shift, end - shift, kind) for start, end, kind in taken if kind in kinds and start >= shift)


def _unescaped(words: str) -> str:
    """Give the words with blanks for the escapes of JSON and code, each as long as the escape."""
    return ESCAPED.sub(lambda found: "\n" * len(found.group()), words) if "\\" in words else words


def _mailboxes(words: str) -> Iterator[tuple[int, int]]:
    for found in EMAIL.finditer(words):
        if not (RESERVED.search(found.group()) or CLONED.match(found.group()) or REMOTE.match(words, found.end())):
            yield found.span()


def _accounts(words: str) -> Iterator[tuple[int, int]]:
    """Give account numbers; what follows in letters may look like more of one, hence the shorter readings."""
    for found in IBAN.finditer(words):
        told = found.group()
        ends = [len(told), *(blank.start() for blank in re.finditer(" ", told))]
        end = next((end for end in sorted(ends, reverse=True) if _account(told[:end])), 0)
        if end:
            yield found.start(), found.start() + end


def _account(number: str) -> bool:
    compact = number.replace(" ", "").upper()
    digits = "".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])
    return len(compact) in LENGTHS and int(digits) % 97 == 1


def _payments(words: str) -> Iterator[tuple[int, int]]:
    return (found.span() for found in CARD.finditer(words) if _payment(found.group()))


def _payment(number: str) -> bool:
    digits = [int(letter) for letter in number if letter.isdecimal()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    issued = ISSUERS.match("".join(map(str, digits)))
    return len(set(digits)) >= DIGITS and bool(issued) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _hosts(words: str) -> Iterator[tuple[int, int]]:
    for found in IP.finditer(words):
        if _public(found.group()) and not VERSION.search(words[max(0, found.start() - SAID) : found.start()]):
            yield found.span()


def _public(address: str) -> bool:
    groups = [group for group in address.split(":") if group]
    long = groups if "::" in address else [group for group in groups if len(group) == len("2001")]
    lettered = re.search("[A-Fa-f]", address)
    if ":" in address and len(long) < GROUPS and not ("::" in address and lettered):
        return False
    if ":" in address and not lettered and address[0] not in "23":
        return False
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


FINDERS: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "secret": credentials.credentials,
    "email": _mailboxes,
    "iban": _accounts,
    "card": _payments,
    "ip": _hosts,
    "phone": numbers,
}
