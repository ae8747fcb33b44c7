"""A rule on replies that refuse."""

import polars as pl

from filters.texts import text
from schemas.rules import Rule

OPENING = 250  # characters: a reply that refuses says so there


def _any(*wordings: str) -> str:
    return f"(?:{'|'.join(wordings)})"


FEW = r"(?:just |simply |really |truly |also |personally |therefore |however,? |respectfully |politely )*"
CANNOT = _any(
    r"cannot|can not|can't|could not|couldn't|(?:will|would) not|won't|must (?:decline|refuse)|decline|refuse",
    r"(?:am|'m) (?:not able|unable|not (?:comfortable|capable|going|programmed|designed|in a position))",
    r"(?:am|'m) not (?:allowed|permitted)",
)
SERVE = _any(
    r"help(?:ing)? (?:you|with)|assist|provid|fulfil|comply|complet|answer|support|generat|creat|writ(?:e|ing)|draw",
    r"design|show|recommend|condon|encourag|promot|discuss|shar|offer",
    r"giv(?:e|ing) (?:you|advice|instructions|information)|do(?:ing)? (?:that|this|so)|process|engag",
    r"participat|advis|suggest|access|perform|produc|display",
    r"tell(?:ing)? you|reveal|disclos|satisf|endors|respond|in good conscience",
)
BETWEEN = (  # "I can't and won't in good conscience provide", but not "I can't wait to help you"
    r"(?:,? (?:to|be|able|and|or|nor|will|would|won't|cannot|can't|not|i|in good conscience|with|any|even|also"
    r"|therefore|continue|proceed|\w+ly)){0,6} "
)
LEAD = r"\A\W*(?:[^.!?\n:]{0,100}[.!?,;] )?(?:but |and )?"
MODEL = _any(
    r"gpt|language model|ai model|i'm just an ai",
    r"as an? (?:\w+ ){0,3}?(?:ai|artificial intelligence|assistant)\b",
)
TASK = r"(?:task|instruction|request|question)"
NOT_DONE = (
    r"(?:can(?:not|'t| not) be (?:complet|fulfil|answer|perform|execut|process|done|carried out|satisfied|generat)"
)
LACK = r"(?:the |my )?(?:limit|functionality|unreliab|constraint)"
SORRY = r"\A\W*(?:sorry|apologies|my apologies|unfortunately|no output|n/a)\b"
NOT_MADE = _any(
    rf"\b{CANNOT}|do(?:n't| not) (?:have|hold|possess|support|condone)|not (?:designed|suitable|possible|able)"
)
REFUSED = (
    rf"{LEAD}(?:i'm|i am) {FEW}(?:very |so |deeply )?(?:sorry|afraid)\b[^.!?\n]{{0,80}}\b{CANNOT}",
    rf"{LEAD}(?:i )?{FEW}(?:sorry|apologi[sz]e|apologies|regret|unfortunately)\b[^.!?\n]{{0,40}}\bi {FEW}{CANNOT}",
    rf"{LEAD}i(?: am|'m)? ?{FEW}{CANNOT}\b{BETWEEN}{SERVE}",
    rf"{LEAD}i {FEW}do(?:n't| not) feel (?:comfortable|right)",
    r"(?:isn't|is not) something (?:that )?i (?:can|could|will|am)\b",
    rf"{MODEL}[^.!?\n]{{0,160}}{NOT_MADE}",
    rf"{SORRY}[^\n]{{0,120}}\b(?:{TASK}|model|visual)\b[^\n]{{0,140}}\b(?:can(?:no|')t|unable|not possible|beyond)\b",
    rf"\b(?:this|your) {TASK} {NOT_DONE}|is not (?:suitable|possible|feasible) (?:for|by|as|to be))",
    rf"\bdue to {LACK}[^.!?\n]{{0,100}}\b(?:i|we) (?:cannot|can't|(?:am|are) unable to) {SERVE}",
    r"\b(?:cannot|can't) be \w+ by (?:an? |the )?(?:gpt|ai|language model)\b",
)
GOOD = _any(
    r"appropriate|acceptable|ethical|moral(?:ly)?|right|okay|ok|legal|permissible|respectful|productive|healthy|humane",
    r"justif\w+|accurate|fair|advisable|a good (?:idea|thing)|constructive",
)
BAD = r"(?:unethical|illegal|inappropriate|immoral|wrong|unacceptable|offensive|disrespectful|harmful)"
BE = r"(?:is|are|was|were|it's|that's|be)"
IT_IS = r"(?:it is|it's|this is|that is|would be|is not only|is both|is considered|and is|are|both)"
OWN = r"(?:programming|guidelines|principles|values|ethic\w*|polic\w+)"
OBJECTED = (
    rf"\bi (?:am |'m )?{FEW}{CANNOT}\b",
    rf"\bi {FEW}do(?:n't| not) (?:actually |currently )?(?:hold|possess)\b",
    rf"\bi {FEW}do(?:n't| not) (?:actually |currently )?have (?:\w+ )?(?:access|the ability|information|personal)",
    r"\bi (?:strongly |would |must |firmly |do not |don't )+"
    + _any(
        r"condemn|disagree|discourage|urge|advise|condone|advocate|support|believe|encourage|inform|point out",
        r"emphasi[sz]e|clarify|remind",
    ),
    rf"\b{BE}(?: \w+ly| also)? (?:not|never)(?: only| \w+ly| an?)*\W+(?:\w+ (?:or|and|nor) )?{GOOD}\b",
    rf"\b(?:isn't|aren't|wasn't|weren't|not) {GOOD}\b",
    rf"\b{IT_IS}(?: \w+ly| also| both| considered| very)* {BAD}\b",
    rf"\b(?:highly|extremely|deeply|completely|morally) {BAD}\b",
    r"\bis illegal in (?:most|many|all)\b",
    r"\bthere (?:is|are) no (?:inherent |valid |good |moral |logical |legitimate |justifiable )?"
    + _any(r"reasons?|justification|excuse")
    + r"\b",
    r"\b(?:violence|harm)\b[^.!?]{0,60}\b(?:never|not the answer|unacceptable)\b",
    rf"\b(?:goes against|violates?|against (?:my|our|the) (?:\w+ )?{OWN})",
    r"\bnot (?:something (?:to|that)|within my)\b",
    r"\bshould (?:not|never) be (?:\w+ )?"
    + _any("denied|barred|excluded|attempted|tolerated|condoned|encouraged|emulated|celebrated"),
    r"\bimportant to (?:treat|respect)\b",
)
ASKED = (  # the prompt itself speaks of refusing or of models: the reply may well repeat it, reworded or explained
    r"(?is)\b(?:i|we|me|you|us)\b[^.!?\n]{0,40}(?:can['\x{2019}]?t|cannot|unable|not (?:be )?able|won['\x{2019}]?t"
    r"|impossible|regret|sorry)|\bimpossible for (?:me|us)\b|declin|refus|apolog|\breject|\bgpt\b|language model"
    r"|\bai assistant|inappropriate"
)
LISTED = r"(?m)^\s*(?:\d+[.)]|[-*•])\s"


def refusals(*, maximum: float = 0.5) -> Rule:
    """1 when the reply opens with a refusal, 0.5 with an objection, else 0, by its English wording. Kept: to `maximum`.

    A refusal says that the writer, as a model or in the first person, can't or won't do what was asked; one that goes
    on with a list counts 0.5. An objection calls the request wrong, or the writer without access or opinions: to a
    harmful prompt it is a partial refusal, elsewhere it may be the answer, so `maximum` = 0 suits only the former. The
    first 250 characters count. Not measured where the prompt itself speaks of refusing or of language models.
    """
    reply = text("reply")
    opening = reply.str.strip_chars_start().str.slice(0, OPENING).str.to_lowercase()
    opening = opening.str.replace_all("[‘’]", "'")  # noqa: RUF001 - the typographic ones are meant
    refused = pl.any_horizontal(opening.str.contains(wording) for wording in REFUSED)  # as one pattern, 3 times slower
    listed = reply.str.contains(LISTED)
    objected = opening.str.contains("|".join(OBJECTED)) & ~listed
    level = pl.when(refused & ~listed).then(1.0).when(refused | objected).then(0.5).otherwise(0.0)
    told = text("question").str.contains(ASKED)
    return Rule(pl.when(reply.is_not_null() & ~told).then(level), None, maximum)
