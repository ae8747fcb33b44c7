"""The licence of a dataset made of several: what its sources' own licences leave, or why nothing is left."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import PublishError

SHARE, TRADE, CHANGE = "share-alike", "non-commercial", "no derivatives"
TERMS: dict[str, frozenset[str]] = {  # by the hub's identifiers, and what they forbid or ask of a work made from them
    name: frozenset(terms)
    for names, terms in (
        ("cc0-1.0 pddl unlicense mit isc apache-2.0 bsd-2-clause bsd-3-clause ms-pl", ()),
        ("cc-by-2.0 cc-by-3.0 cc-by-4.0 odc-by cdla-permissive-2.0", ()),
        ("cc-by-sa-3.0 cc-by-sa-4.0 odbl cdla-sharing-1.0 gpl-2.0 gpl-3.0 agpl-3.0 lgpl-3.0 gfdl", (SHARE,)),
        ("cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0", (TRADE,)),
        ("cc-by-nc-sa-3.0 cc-by-nc-sa-4.0", (TRADE, SHARE)),
        ("cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0", (CHANGE,)),
    )
    for name in names.split()
}
LATER = {"cc-by-sa-3.0": "cc-by-sa-4.0", "cc-by-nc-sa-3.0": "cc-by-nc-sa-4.0"}  # what each allows itself to be taken as
ALSO = {"apache-2": "apache-2.0", "apache": "apache-2.0", "cc0": "cc0-1.0", "odc-by-1.0": "odc-by", "odbl-1.0": "odbl"}
ALSO |= {"pddl-1.0": "pddl", "bsd": "bsd-3-clause", "gpl-3.0-only": "gpl-3.0", "public-domain": "cc0-1.0"}


@dataclass(frozen=True)
class Licence:
    """The identifiers by which the hub knows the dataset's licence, and how they came about."""

    ids: tuple[str, ...]
    why: str


def identified(said: str) -> str | None:
    """Give the hub's identifier of a licence as a source names it ("Apache 2.0", "CC BY-SA 4.0"); null if unknown."""
    name = re.sub(r"[\s_]+", "-", said.strip().lower())
    name = re.sub(r"-?licen[cs]e-?", "-", name).strip("-").removeprefix("the-")
    name = re.sub(r"-(?:version-|v\.?)(?=\d)", "-", name)
    name = ALSO.get(name, name)
    return name if name in TERMS else None


def derived(rows: Sequence[tuple[str, str | None, int]]) -> Licence:
    """Give the licence that rows, counted by source and licence, leave to the dataset as a whole.

    Share-alike and non-commercial terms hold for the whole; permissive ones stand side by side. It says what the
    sources state, not what a court would. Raises `PublishError` naming the sources where one states no licence, or one
    that is not known here, or forbids works made from it, or where two cannot hold for one work.
    """
    told = sorted({(source, said) for source, said, count in rows if count}, key=str)
    known = {said: identified(said) for _, said in told if said is not None}
    _refuse_unknown(told, known)
    found = sorted({name for name in known.values() if name})
    _refuse_conflict(told, known, found)
    whole = sorted({LATER.get(name, name) for name in found if SHARE in TERMS[name]})
    kept = whole or [name for name in found if TRADE in TERMS[name]] or found
    if len(found) == 1:
        return Licence(tuple(kept), f"Every source states {found[0]}.")
    said = f"The sources state {', '.join(found)}."
    if whole:
        return Licence(tuple(kept), f"{said} {whole[0]} asks that what is made from it is under it as a whole.")
    if kept != found:
        return Licence(
            tuple(kept), f"{said} Not to be used commercially is the stricter term, and holds for the whole."
        )
    return Licence(tuple(kept), f"{said} They stand side by side: each row's column `license` says which is its own.")


def stated(name: str | None, reason: str | None) -> Licence | None:
    """Give the licence that a person states with a reason; null where none is stated.

    Raises `PublishError` for one without the other.
    """
    if (name is None) != (reason is None) or (reason is not None and not reason.strip()):
        raise PublishError('--license and --license-reason go together: the card gives both, as "mit" and why it is so')
    if name is None:
        return None
    known = identified(name) or name.strip().lower()
    return Licence((known,), f"Stated by who published it, not derived from the sources: {reason}")


def _refuse_unknown(told: Sequence[tuple[str, str | None]], known: dict[str, str | None]) -> None:
    silent = [source for source, said in told if said is None]
    strange = [f"{source} ({said})" for source, said in told if said is not None and known[said] is None]
    closed = [
        f"{source} ({said})" for source, said in told if said is not None and CHANGE in TERMS.get(known[said] or "", ())
    ]
    faults = [f"these sources state no licence: {', '.join(silent)}"] if silent else []
    faults += [f"these state one that is not known here: {', '.join(strange)}"] if strange else []
    faults += [f"these forbid works made from theirs, which a dataset is: {', '.join(closed)}"] if closed else []
    if faults:
        raise PublishError(f"no licence can be derived: {'; '.join(faults)}. {WHAT_TO_DO}")


def _refuse_conflict(told: Sequence[tuple[str, str | None]], known: dict[str, str | None], found: list[str]) -> None:
    """Refuse what cannot hold for one work: two share-alike licences, or a free share-alike and a non-commercial."""
    share = {LATER.get(name, name) for name in found if SHARE in TERMS[name]}
    free = {name for name in share if TRADE not in TERMS[name]}
    outside = {name for name in found if TRADE in TERMS[name] and SHARE not in TERMS[name]} if free else set()
    if len(share) > 1 or outside:
        wrong = share | outside
        named = [
            f"{source} ({said})"
            for source, said in told
            if said is not None and LATER.get(known[said] or "", known[said] or "") in wrong
        ]
        raise PublishError(
            f"the sources' licences conflict: {', '.join(named)}. One that asks for itself on the whole (share-alike) "
            f"leaves no room for another's terms. {WHAT_TO_DO}"
        )


WHAT_TO_DO = (
    "State a source's licence in the recipe (license = ... at the source), leave a source out, publish them as "
    'datasets of their own, or, where you know better, say --license ID --license-reason "...": the card states both.'
)
