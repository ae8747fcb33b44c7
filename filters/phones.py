"""Telephone numbers in a text, by how they are written and by what is said beside them."""

import re
from collections.abc import Iterator
from itertools import pairwise

EDGE, END = r"(?<![A-Za-z_\d])", r"(?![A-Za-z_\d])"  # ASCII: Han and Hangul letters stand beside a number unspaced
BLANK = r"[ .\u00a0\u2007\u202f\u2009\u2010\u2011-]"  # what sets a number's digits apart, beside brackets
AREA = r"\(\+?\d{1,5}\)"
NUMBER = re.compile(
    rf"{EDGE}(?<!\d[.,/:+-])(?<!\d )\+?(?:{AREA}|\d)(?:{BLANK}{{0,2}}(?:{AREA}|\d)|(?<=\d)/(?=\d\d)\d){{5,16}}"
    rf"(?: ?(?:x|ext\.?) ?\d{{1,6}})?{END}(?!{BLANK}{{0,2}}\(?\d|[,/:]\d|-[A-Z]{{3}})"
)
EXTENSION = re.compile(r" ?[a-z][a-z.]* ?\d+\Z")
INVENTED = re.compile(
    r"12345|23456|34567|45678|56789|98765|87654|0{5}|(\d)\1{5}"
    r"|\A(?:00|\+)?1?(?:[2-9]\d\d)?555\d{4}\Z|\A(?:00|\+)?1?555\d{7}\Z"  # what North America's plan gives nobody
)
AMERICAN = re.compile(r"(?:(?:\+|00)?1[-. ])?(?:\([2-9]\d\d\)[ -]?|[2-9]\d\d[-. ])\d{3}[-.]\d{4}\Z")
NATIONAL = re.compile(r"\(?0[1-9]|\(\d\d\) ")  # a trunk prefix or an area in brackets: no count begins so
LOOSE = re.compile(r"\(?0[1-9]\d{0,3}\)?(?: \d{2,4}){2,4}\Z|0[1-9](?:[.-]\d\d){4}\Z")  # as people group them
ABROAD = re.compile(r"00([1-9]\d{0,2})[ -]|00(?=[1-9]\d{8,}\Z)")
COUNTED = re.compile(r"\d{1,3}(?: \d{3})+\Z")  # 299 792 458 is a quantity as well
DATE = re.compile(
    r"(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:19|20)\d\d\b|"
    r"(?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)\d\d\b|"
    r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])\b"
)
REGIONS = (
    *("US", "GB", "DE", "FR", "AU", "IN", "IL", "IT", "ES", "NL", "BE", "CH", "AT", "SE", "NO", "DK", "FI"),
    *("PL", "PT", "CZ", "IE", "BR", "MX", "JP", "CN", "KR", "ZA", "TR", "RU"),
)

NOUN = (
    r"(?:(?<![A-Za-z])(?:(?:tele|smart|cell)?phones?|tel\.?|mobiles?|mob\.|cell|fax|whats ?app|sms|landline|hotline"
    r"|t[ée]l[ée]phone|t[ée]l\.?|telefon\w{0,6}|telefoon|handy(?:nummer)?|mobil(?:nummer)?|rufnummer|tel[ée]fono|m[óo]vil"
    r"|celular|cellulare|cell\.|telem[óo]vel|portable)(?![a-z])"
    r"|телефон\w{0,3}|тел\.|电话|電話|手机|手機|携帯|传真|傳真|전화|휴대폰|핸드폰|फ़ोन|फोन|मोबाइल|טלפון|נייד|هاتف|جوال)"
)
SAID = (  # what a number follows without a noun: "call me on", "my new number is"
    r"(?:(?<![A-Za-z])(?:(?:call|ring|dial|text|fax|phon|reach|contact|messag|answer)(?:e?s|ed|ing|e)?"
    r"(?: \w+)? (?:on|at|under)"
    r"|(?:call|dial|ring)(?: (?:me|us|him|her|them))?|text (?:me|us|him|her|them)|messages? (?:to|from)|desk"
    r"|(?:my|your|his|her|our|their|the) registered"
    r"|(?:my|your|his|her|our|their|contact|emergency)(?: \w+)? (?:number|nr|no)\b))"
)
LINK = (  # what may stand between these words and the number
    r"(?:[ _-]?(?:numbers?|nummer|nr|no|número|numero|号码|號碼|番号|번호)(?![a-z])\.?)?(?: ?\([A-Za-z ]{1,15}\))?"
    r"(?:,? ?(?:is|are|was|at|on|under|now|still|me|us|him|her|ist|lautet|est|es|è|é|是|为|為|は|는|은|到)(?![a-z]))*"
    r"""(?:[ \t:=#|*_"'“”()\[\]\uff1a-]|\.?\s*\n){0,6}\Z"""
)
TOLD = re.compile(rf"(?i)(?:{NOUN}|{SAID}){LINK}")
ALSO = re.compile(r"(?i)\s*(?:[,;/|&]|,? ?(?:and|or|und|oder|et|ou|y|o|e)\b|和|或)\s*\Z")  # a second number's
SIGNED = re.compile(r"(?i)[ -]?\(?(?:office|fax|mobile|cell|home|work|phone|tel)\)?(?=\s*(?:\Z|[\n,;|\\]))")
NEAR = re.compile(rf"(?i){NOUN}(?:[^.!?\n]|\.(?! ))*\Z")
AHEAD = re.compile(rf"(?i)[^.!?\n]*{NOUN}")
BEFORE, NEARBY, AFTER = 60, 40, 24  # characters in which such words are looked for
DIGITS = range(7, 16)  # E.164 has at most fifteen
DATED = 8  # digits that a date has too
YEARS = range(1900, 2100)
DRAWN = 69  # the highest number of most lotteries, whose draws are told in order
SERIES = 3  # groups of digits from which on they may be a series


def numbers(words: str) -> Iterator[tuple[int, int]]:
    """Give where `words` holds telephone numbers of 7 to 15 digits, invented ones (555-0142, 1234567) left out.

    A number counts that a plan gives out (phonenumbers, libphonenumber's metadata) and that is told as one: by a plus,
    by its national form where no other number is written so, or by words of telephony before or after it.
    """
    last = -1  # the end of the latest number that was told by words
    for found in NUMBER.finditer(words):
        start, end = found.span()
        before, after = words[max(0, start - BEFORE) : start], words[end : end + AFTER]
        told = bool(TOLD.search(before) or SIGNED.match(words, end) or (last >= 0 and ALSO.match(words[last:start])))
        near = bool(NEAR.search(before[-NEARBY:]) or AHEAD.match(after))
        last = end if told else -1
        if _is_number(EXTENSION.sub("", found.group()), told=told, near=near):
            yield start, end


def _is_number(number: str, *, told: bool, near: bool) -> bool:
    digits = re.sub(r"[^\d+]", "", number)
    if len(digits.lstrip("+")) not in DIGITS or INVENTED.search(digits) or _is_list(number, told=told or near):
        return False
    if number.startswith("+") or ABROAD.match(number):
        return _is_abroad(number, told=told)
    if AMERICAN.match(number) and (not told or _is_given(number, "US", own=False)):
        return _is_given(number, "US")
    return _is_national(number, told=told, near=near)


def _is_national(number: str, *, told: bool, near: bool) -> bool:
    if told:
        return any(_is_given(number, region) for region in REGIONS)
    if COUNTED.match(number):
        return False
    if NATIONAL.match(number) and len(re.sub(r"\D", "", number)) > DATED:
        return any(_is_given(number, region, form=not LOOSE.match(number)) for region in REGIONS)
    return near and " " in number and any(_is_given(number, region, form=True) for region in REGIONS)


def _is_list(number: str, *, told: bool) -> bool:
    """Tell whether the groups of digits are years, a date, or steps: 01 02 03, 100 200 300, 512 256 128."""
    groups = re.findall(r"\d+", number)
    values = [int(group) for group in groups]
    if DATE.match(number) or all(value in YEARS for value in values):
        return True
    if len(groups) < SERIES or number.startswith("+"):
        return False
    steps = [after - before for before, after in pairwise(values)]
    ratios = all(a * c == b * b for a, b, c in zip(values, values[1:], values[2:], strict=False))
    if len(set(steps)) == 1 or ratios or all(g[0] == "0" for g in groups) or all(g[-2:] == "00" for g in groups):
        return True
    drawn = len(groups) > SERIES and max(values) <= DRAWN
    return not told and drawn and (min(steps) > 0 or max(steps) < 0)


def _is_abroad(number: str, *, told: bool) -> bool:
    """Tell whether a plan has a number that begins with a country's code, or where it is `told` only its length."""
    import phonenumbers as plan

    written = ABROAD.sub(r"+\1 ", number)
    try:
        parsed = plan.parse(written)
    except plan.NumberParseException:
        return False
    code = ABROAD.match(number)
    if code and code.group(1) and int(code.group(1)) != parsed.country_code:  # 0012 3456 7890 is no such number
        return False
    return plan.is_valid_number(parsed) or (told and plan.is_possible_number(parsed))


def _is_given(number: str, region: str, *, own: bool = True, form: bool = False) -> bool:
    """Tell whether the region's plan has the number; `own`: for a subscriber; `form`: grouped as there is usual."""
    import phonenumbers as plan

    kinds = plan.PhoneNumberType
    try:
        parsed = plan.parse(number, region)
    except plan.NumberParseException:
        return False
    subscriber = (kinds.FIXED_LINE, kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE)
    return (
        plan.is_valid_number(parsed)
        and (not own or plan.number_type(parsed) in subscriber)
        and (not form or _grouped(number) == _grouped(plan.format_number(parsed, plan.PhoneNumberFormat.NATIONAL)))
    )


def _grouped(number: str) -> str:
    return re.sub(r"\D+", " ", number).strip().lstrip("0")
