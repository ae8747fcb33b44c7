"""Verdicts and what they are on as Argilla keeps a dataset on disk: settings, records, responses; out and in.

The form is that of `argilla.Dataset.to_disk` and `from_disk` (argilla 2.8: `argilla/datasets/_io/_disk.py`,
`Settings.serialize`, `Record.to_dict`): `.argilla/settings.json`, `.argilla/dataset.json` and `records.json`.
"""

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.review.labels import add
from pipelines.review.verdicts import DECKS, LONGEST_NAME, LONGEST_NOTE, SKIP, Said, key_of
from pipelines.store import write_bytes
from schemas.errors import InputError

if TYPE_CHECKING:
    from pipelines.review.reading import Review

TITLES = {
    "first": "The first is better",
    "second": "The second is better",
    "tie": "Tie",
    "both_bad": "Both bad",
    "pass": "Good",
    "fail": "Bad",
    "keep": "Should be kept",
    "drop": "Rightly dropped",
}
FIELDS = {"pairs": ("first", "second"), "replies": ("reply",), "dropped": ("reply",)}
GUIDELINES = {
    "pairs": "Which of the two replies answers the prompt better? Which comes first was drawn.",
    "replies": "Is this a good reply to the prompt?",
    "dropped": "A rule dropped this sample. Should it be kept?",
}
NEW = {"id": None, "inserted_at": None, "updated_at": None, "dataset_id": None}
AT_A_TIME = 2_000  # things whose texts are in memory together


def export(review: "Review", deck: str, folder: Path, *, count: int | None = None) -> int:
    """Write a deck, or the first `count` things of it, with what was said of them; gives the records.

    Beside Argilla's files lies `users.json`, the name behind each user id. Raises `InputError` for a folder that holds
    something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: there is something already; name a folder that is empty or not there")
    review.verdicts.refresh()
    said: dict[str, list[Said]] = {}
    for one in review.verdicts.said(deck):
        said.setdefault(key_of(one["ids"]), []).append(one)
    people = sorted({one["person"] for several in said.values() for one in several})
    name = f"{review.folder.parent.name}-{deck}"
    (folder / ".argilla").mkdir(parents=True)
    write_bytes(folder / ".argilla" / "settings.json", orjson.dumps(_settings(deck)))
    write_bytes(folder / ".argilla" / "dataset.json", orjson.dumps(_dataset(name, GUIDELINES[deck])))
    write_bytes(folder / "users.json", orjson.dumps({user_id(person): person for person in people}))
    keys = review.deck(deck)["key"].head(count).to_list() if count is not None else review.deck(deck)["key"].to_list()
    records = [orjson.dumps(one) for one in _records(review, deck, keys, said)]
    write_bytes(folder / "records.json", b"[" + b",\n".join(records) + b"]")
    return len(records)


def user_id(person: str) -> str:
    """Give the id by which a reviewer is a user of Argilla's: the same name has the same id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"gristmill:reviewer:{person}"))


def _records(review: "Review", deck: str, keys: list[str], said: Mapping[str, list[Said]]) -> Iterator[dict[str, Any]]:
    rows = {row["key"]: row for row in review.deck(deck).iter_rows(named=True)}
    samples = review.tables["dropped" if deck == "dropped" else "kept"]
    for start in range(0, len(keys), AT_A_TIME):
        some = keys[start : start + AT_A_TIME]
        names = [rows[key]["sample_id"] for key in some]
        prompts = samples.column("prompt", names)
        ids = {key: review.sides(deck, key, "") for key in some}
        texts = (
            samples.column("reply", names)
            if deck == "dropped"
            else review.tables["candidates"].column("text", (one for key in some for one in ids[key]))
        )
        for key in some:
            row = rows[key]
            replies = {name: texts[one] or "" for name, one in zip(FIELDS[deck], ids[key], strict=True)}
            yield {
                "id": key,
                "fields": {"prompt": _prompt(prompts[row["sample_id"]]), **replies},
                "metadata": {"sample_id": row["sample_id"], "source": row["source"] or "", "first_id": ids[key][0]},
                "suggestions": {},
                "responses": _responses(said.get(key, []), ids[key][0]),
                "vectors": {},
                "status": "completed" if key in said else "pending",
                "_server_id": None,
            }


def _prompt(turns: list[dict[str, Any]]) -> str:
    plain = len(turns) == 1 and turns[0]["role"] == "user"
    return turns[0]["content"] if plain else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)


def _responses(said: list[Said], first: str) -> dict[str, list[dict[str, str]]]:
    verdicts, notes = [], []
    for one in said:
        if one["verdict"] == SKIP:
            continue
        user = user_id(one["person"])
        value = str(one["verdict"])
        if value in {"a", "b"}:
            value = "first" if (one["ids"][0] == first) == (value == "a") else "second"
        verdicts.append({"value": value, "user_id": user})
        if one["note"]:
            notes.append({"value": one["note"], "user_id": user})
    return {name: values for name, values in (("verdict", verdicts), ("note", notes)) if values}


def _settings(deck: str) -> dict[str, Any]:
    sides = FIELDS["pairs"] if deck == "pairs" else ()
    options = [{"value": one, "text": TITLES[one]} for one in (*sides, *DECKS[deck]) if one in TITLES]
    label: dict[str, Any] = {"type": "label_selection", "options": options}
    label["visible_options"] = len(options) if len(options) > 2 else None  # noqa: PLR2004 - Argilla's least is 3
    text = {"type": "text", "use_markdown": False}
    terms = {"type": "terms", "values": None, "visible_for_annotators": False}  # who reads is not told what tells sides
    return {
        "guidelines": GUIDELINES[deck],
        "questions": [
            {**NEW, "name": "verdict", "title": "Verdict", "description": None, "required": True, "settings": label},
            {**NEW, "name": "note", "title": "Note", "description": None, "required": False, "settings": text},
        ],
        "fields": [
            {**NEW, "name": name, "title": name.capitalize(), "required": name == "prompt", "settings": text}
            for name in ("prompt", *FIELDS[deck])
        ],
        "vectors": [],
        "metadata": [
            {**NEW, "name": name, "title": name, "visible_for_annotators": False, "settings": terms}
            for name in ("sample_id", "source", "first_id")
        ],
        "allow_extra_metadata": False,
        "distribution": {"strategy": "overlap", "min_submitted": 2},
        "mapping": None,
    }


def _dataset(name: str, guidelines: str) -> dict[str, Any]:
    empty = dict.fromkeys(("id", "inserted_at", "updated_at", "workspace_id", "last_activity_at", "distribution"))
    return {**empty, "name": name, "status": "draft", "guidelines": guidelines, "allow_extra_metadata": False}


def take(review: "Review", deck: str, place: Path, users: Path | None = None) -> tuple[int, int, int]:
    """Add the verdicts in a folder or `records.json` that Argilla wrote; gives those added, known, and of nothing here.

    A user is named as in `users` (JSON: a name by each id), or in the folder's own `users.json`, else by the id. What
    was discarded, and drafts where the records tell them, are left out. Raises `InputError` for another form.
    """
    file = place / "records.json" if place.is_dir() else place
    own = file.with_name("users.json")
    names = _read(users or own, dict) if users or own.is_file() else {}
    return add(review, deck, _told(_read(file, list), deck, names, file))


def _told(records: list[Any], deck: str, names: Mapping[str, str], file: Path) -> Iterator[tuple[str, str, str, str]]:
    allowed = {one["value"] for one in _settings(deck)["questions"][0]["settings"]["options"]}
    for at, record in enumerate(records):
        try:
            key, responses = str(record["id"]), record["responses"]
            first = str(record.get("metadata", {}).get("first_id", ""))
            notes = {str(one["user_id"]): str(one["value"]) for one in responses.get("note", [])}
            for one in responses.get("verdict", []):
                user, value = str(one["user_id"]), one["value"]
                if value not in allowed:
                    raise InputError(f"{file}, record {at}: {value!r} is no verdict on {deck}")
                if one.get("status", "submitted") != "submitted":
                    continue
                if value in FIELDS["pairs"]:
                    value = _side(key, first, value, f"{file}, record {at}")
                yield key, str(names.get(user, user))[:LONGEST_NAME], value, notes.get(user, "")[:LONGEST_NOTE]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{file}, record {at}: this is no record as Argilla writes it: {error!r}") from error


def _side(key: str, first: str, value: str, where: str) -> str:
    ids = key.split(".")
    if first not in ids:
        raise InputError(f"{where}: its metadata has no `first_id` of the pair, so which reply came first is not known")
    return "a" if (first == ids[0]) == (value == "first") else "b"


def _read(file: Path, kind: type) -> Any:
    try:
        told = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"{file}: this can't be read as JSON: {error}") from error
    if not isinstance(told, kind):
        raise InputError(f"{file}: expected a JSON {'object' if kind is dict else 'list'}")
    return told
