"""The commands `./mill publish` and `./mill unpublish`: a run's datasets, whole, checked and with their card."""

import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.calibrate import CARDS
from pipelines.card import Told, card
from pipelines.checking import check_dataset
from pipelines.closing import visible
from pipelines.configs import files_of, staged
from pipelines.croissant import croissant
from pipelines.in_use import reading
from pipelines.licences import Licence, derived
from pipelines.lock import lock
from pipelines.scan import scanned_text
from pipelines.store import Stored, sha256, write_bytes
from pipelines.targets import VERSION, State, Target, next_version, pointer_of, target_of
from schemas.chats import content_id
from schemas.errors import PublishError

RECORD, LOCK, CROISSANT = "published.json", "lock.json", "croissant.json"
LOOKED_AT = 2_000  # rows by which the language is told
LEGIBLE = 25  # bytes of a text whose language can be told
SHOWN = 10  # rows named in a refusal
NO_PAIRS: dict[str, Any] = {"pairs": 0, "labelled": 0, "errors": 0, "warnings": 0, "findings": []}


def publish(
    folder: Path,
    to: str,
    *,
    version: str | None = None,
    public: bool = False,
    pr: bool = False,
    licence: Licence | None = None,
    despite: str | None = None,
    leave_out: bool = False,
) -> dict[str, Any]:
    """Publish the finished run in `folder` to `to`, in one visible step, and give what was done.

    What is there already is not published again. `licence` stands for the one that the sources leave; `despite` is the
    reason to publish what the integrity suite or the search for personal data speaks against; `leave_out` leaves out
    the rows in which something private is. Raises `PublishError` where something speaks against it.
    """
    if version is not None and not VERSION.match(version):
        raise PublishError(f"{version!r} is no version: expected v1.0, v1.1, v2.0 and the like")
    target = target_of(to, public=public, pr=pr)
    folder = folder.resolve()
    with reading(folder):
        stored = staged(folder, leave_out=leave_out)
        checked = _checked(folder, stored, despite)
        _refuse_private(stored, despite)
        despite = despite if checked["errors"] or stored.facts["found"] else None
        terms = licence or derived([tuple(one[1:]) for one in stored.facts["licences"]])
        summary = _summary(folder)
        hashes = {path: sha256(file) for path, file in files_of(stored).items()}
        content = content_id(hashes, list(terms.ids), terms.why, despite, summary["version"], summary["judges"])
        state = target.state()
        before = _before(folder, target, state, content, version)
        if before is not None:
            return _recorded(folder, target, before | {"content": content})
        named = _free(version or next_version(state), target, state)
        told = Told(
            name=target.title,
            version=named,
            load=target.load(named, next(iter(stored.facts["rows"]))),
            summary=summary,
            rows=stored.facts["rows"],
            licence=terms,
            licences=stored.facts["licences"],
            languages=_languages(folder, stored),
            checked=checked,
            found=stored.facts["found"],
            left_out=stored.facts["left_out"],
            leaked=stored.facts["leaked"],
            despite=despite,
            versions=state.versions,
        )
        documents = _documents(folder, stored, told, target, hashes)
        _refuse_private_documents(documents)
        one = {"content": content, "run": summary["version"], "rows": told.rows, "documents": sorted(documents)}
        pointer = pointer_of({**state.versions, named: one})
        done = target.put(named, {**files_of(stored), **documents}, pointer, state)
        return _recorded(folder, target, {"done": "proposed" if pr else "published", "version": named, **done, **one})


def unpublish(to: str, version: str, reason: str) -> dict[str, Any]:
    """Withdraw a version with a reason, which the card then says; a version that was withdrawn before stays so.

    Raises `PublishError` for a version that is not there.
    """
    target = target_of(to)
    state = target.state()
    if version not in state.versions:
        known = ", ".join(state.versions) or "none"
        raise PublishError(f"{target.name} has no version {version!r}; there are: {known}")
    again = bool(state.versions[version].get("yanked"))
    told = state.versions[version].get("yanked") or visible(reason)
    versions = {**state.versions, version: {**state.versions[version], "yanked": told}}
    target.withdraw(version, versions, state)
    done = "was withdrawn before" if again else "withdrawn"
    return {"done": done, "to": target.name, "version": version, "reason": told}


def _summary(folder: Path) -> dict[str, Any]:
    """Read the run's summary, with the cards that its judges were given since."""
    summary: dict[str, Any] = orjson.loads((folder / "summary.json").read_bytes())
    for name, judge in summary["judges"].items():
        file = folder / CARDS / f"{name.replace(':', '.')}.json"
        if file.is_file():
            judge.setdefault("cards", {})["people"] = orjson.loads(file.read_bytes())
    return summary


def _checked(folder: Path, stored: Stored, despite: str | None) -> dict[str, Any]:
    """Hold the dataset to its integrity; raises `PublishError` where it has an error and no reason is given."""
    told = check_dataset(str(folder)) if "preferences" in stored.facts["rows"] else dict(NO_PAIRS)
    own = [{"check": "ids", "severity": "error", "told": fault, "rows": []} for fault in stored.facts["faults"]]
    told |= {"findings": [*own, *told["findings"]], "errors": told["errors"] + len(own)}
    if told["errors"] and despite is None:
        faults = [one for one in told["findings"] if one["severity"] == "error"]
        lines = [f"  - {one['check']}: {one['told']}" for one in faults]
        raise PublishError(
            f"{folder}: {told['errors']} error(s) of integrity, nothing was published\n"
            + "\n".join(lines)
            + f"\n./mill check {folder} names the rows. Mend the recipe and run it again; or, where they must stand, "
            'say --despite "REASON", which the card then gives.'
        )
    return told


def _refuse_private(stored: Stored, despite: str | None) -> None:
    """Refuse rows with secrets, and rows with personal data unless a reason is given."""
    found = stored.facts["found"]
    wrong = [one for one in found if one["kind"] == "secret" or despite is None]
    if not wrong:
        return
    lines = [f"  - {one['config']} {one['id']}, {one['column']}: {one['kind']} {one['shown']}" for one in wrong[:SHOWN]]
    lines += [f"  - and {len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
    secret = any(one["kind"] == "secret" for one in wrong)
    raise PublishError(
        f"{len(wrong):,} place(s) have the form of secrets or personal data, nothing was published\n"
        + visible("\n".join(lines))
        + '\nTake them out in the recipe (use = "filters.redaction:redact" in [[edits]]), or say --leave-out to '
        "publish "
        "without these rows" + ("" if secret else ', or --despite "REASON" where they are nobody\'s') + "."
    )


def _refuse_private_documents(documents: dict[str, bytes]) -> None:
    texts = {name: content.decode() for name, content in documents.items() if name not in {LOCK, CROISSANT}}
    found = [one for name, text in texts.items() for one in scanned_text(name, text)]
    if found:
        lines = "\n".join(f"  - {place}: {kind} {shown}" for place, _, kind, shown in found[:SHOWN])
        raise PublishError(
            f"the documents beside the data hold what has the form of a secret or personal data:\n{visible(lines)}\n"
            "A recipe takes such values from the environment: write ${NAME} in it, and run it again."
        )


def _before(folder: Path, target: Target, state: State, content: str, version: str | None) -> dict[str, Any] | None:
    """Give what was done where the same content is there already, or proposed; what broke off is finished."""
    same = {name: one for name, one in state.versions.items() if one["content"] == content}
    left = [name for name, one in same.items() if not one.get("yanked") and version in {None, name}]
    if left:
        finished = target.finish(left[-1], state) if left[-1] == state.latest else []
        return {"done": "; ".join(["there already", *finished]), "version": left[-1], **same[left[-1]]}
    if same and version is None:
        name, one = next(iter(same.items()))
        raise PublishError(
            f"{target.name}: the same data was withdrawn as {name} ({one['yanked']}). Name a new --version to publish "
            "it all the same."
        )
    for one in _records(folder):
        if (
            one["to"] == target.name
            and one["content"] == content
            and "pr_ref" in one
            and target.proposed(one["pr_ref"])
        ):
            return {**one, "done": "proposed already"}
    return None


def _free(version: str, target: Target, state: State) -> str:
    """Hold a version to being new."""
    if version in state.versions or version in state.tags:
        raise PublishError(
            f"{target.name} has {version} already, with other data: a version never changes. The next is "
            f"{next_version(state)}."
        )
    return version


def _languages(folder: Path, stored: Stored) -> list[str]:
    """Give the languages: those that the recipe's rules hold the rows to, else those of 5 % of the prompts or more."""
    recipe = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    rules = [one for one in recipe.get("filters", []) if one.get("use") == "filters.language:probability"]
    if rules:
        return sorted({str(one.get("language", "en")) for one in rules})
    from filters.language import LANGUAGES, probabilities

    first = pl.read_parquet(next(iter(files_of(stored).values())), n_rows=LOOKED_AT)
    texts = first.select(text=first_turn(first))["text"].drop_nulls()
    best = probabilities(texts.filter(texts.str.len_bytes() >= LEGIBLE)).argmax(axis=1).tolist()
    return sorted(LANGUAGES[at] for at, count in Counter(best).items() if count >= len(best) / 20)


def first_turn(rows: pl.DataFrame) -> pl.Expr:
    """Give each row's first turn by anyone, or the prompt where it is a text."""
    prompt = pl.col("prompt")
    return prompt if rows.schema["prompt"] == pl.String else prompt.list.first().struct.field("content")


def _documents(folder: Path, stored: Stored, told: Told, target: Target, hashes: dict[str, str]) -> dict[str, bytes]:
    """Give the files beside the data."""
    described = croissant(
        name=told.name,
        version=told.version,
        url=target.url(told.version),
        told=f"{told.name} {told.version}: {', '.join(told.rows)}, made by Gristmill.",
        licences=told.licence.ids,
        files=files_of(stored),
        hashes=hashes,
    )
    made = {"README.md": card(told).encode(), "recipe.toml": (folder / "recipe.toml").read_bytes()}
    made[LOCK] = _json(lock(folder, dict(told.summary), hashes))
    made[CROISSANT] = _json(described)
    cards = {name: one["cards"] for name, one in told.summary["judges"].items() if "cards" in one}
    return made | ({"judge-cards.json": _json(cards)} if cards else {})


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _records(folder: Path) -> list[dict[str, Any]]:
    file = folder / RECORD
    return list(orjson.loads(file.read_bytes())) if file.is_file() else []


def _recorded(folder: Path, target: Target, done: dict[str, Any]) -> dict[str, Any]:
    """Note in the run's folder what was published where, and give it."""
    told = {"to": target.name, **done}
    told["load"] = target.load(done["version"], next(iter(done["rows"])), here=True)
    known = _records(folder)
    if all(
        (one["to"], one["version"], one["content"]) != (told["to"], told["version"], told["content"]) for one in known
    ):
        at = datetime.now(UTC).isoformat(timespec="seconds")
        write_bytes(folder / RECORD, _json([*known, {**told, "at": at}]))
    return told


def words(told: dict[str, Any]) -> str:
    """Tell a person what was done."""
    if "rows" not in told:
        return f"{told['to']} {told['version']}: {told['done']} ({told['reason']})"
    lines = [f"{told['to']} {told['version']}: {told['done']}"]
    for name, splits in told["rows"].items():
        lines.append(f"  {name:<12}" + ", ".join(f"{count:,} {split}" for split, count in splits.items()))
    if "uploaded" in told:
        there = told["files"] - told["uploaded"]
        lines.append(f"  {told['uploaded']:,} files written{f', {there:,} were there' if there else ''}")
    if "commit" in told:
        seen = "public" if told.get("public") else "private"
        lines.append(f"  commit {told['commit']}, {seen}")
    lines += [f"  {told['pr']}"] if told.get("pr") else []
    lines += (
        ["", *told["load"].splitlines()] if not told.get("pr") else ["", "Once it is merged, run this again to tag it."]
    )
    return visible("\n".join(lines))
