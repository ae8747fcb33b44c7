"""Make the demo's raw data: the tiny model's tasks as people would ask and answer them, with planted faults.

`python -m recipes.demo.make` writes every file beside this one, byte for byte the same each time.
"""

import argparse
import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.make_data import SYSTEMS
from models.puzzles import Task, draw
from recipes.demo.faults import FAULTY, SHARES, Maker, Row, exact_copy, leak, near_copy

FILES = {"alpaca.json": 2_000, "sharegpt.jsonl": 1_644, "messages.parquet": 1_350}  # rows, without broken lines
HELD_OUT = 400
FAULTS = {  # how many rows of each
    "wrong reply": 400,
    "empty reply": 60,
    "truncated reply": 60,
    "refusal": 60,
    "exact duplicate": 150,
    "near duplicate": 100,
    "repetition": 40,
    "other language": 60,
    "e-mail address": 20,
    "key": 15,
    "overly long": 15,
    "leaked held-out task": 40,
}
BROKEN = (  # lines of sharegpt.jsonl that are no row
    b'{"conversations": [{"from": "human", "value": "What is 12 + 3',
    b'["What is 4 + 4?", "8"]',
    b'{"id": 17, "reference": "12", "check": null}',
    b'{"conversations": [{"from": "human", "value": "Spell \\"caf\xe9\\"."}, {"from": "gpt", "value": "efac"}]}',
    b'{"conversations": [], "reference": null, "check": null}',
    b'{"conversations": [{"from": "human", "value": "Add 1 and 2."}, {"from": "gpt", "value": 3',
)
README = """\
---
license: apache-2.0
---
# The demo's raw data

{total:,} rows as people would type and answer the tiny model's tasks, {faults:,} of them with one planted fault each.

{listing}
- `held_out.jsonl`: {held_out} tasks for evaluation, prompt, gold answer and check; no payload of theirs (number pair, \
word, or topic and phrasing) is in the rows, but for the planted leaks
- `labels.jsonl`: a line for each planted fault: `file`, `row` (from 0), `fault`, the task's `family`, and `of`, the \
row that a duplicate copies or the held-out task that a row leaks

| fault | rows |
|---|---|
{table}

`check` is JSON that names the verifier of a reply and its arguments; together with `reference` it proves a wrong \
reply wrong. A copy stands behind its original, the files in the order above. Names, addresses and keys are made up.

Everything is made by `python -m recipes.demo.make`, byte for byte the same each time, from `models/puzzles.py` and \
`faults.toml`.
"""
OPENED = 400  # clean rows whose task stands behind an opening: near duplicates vary it


def make(folder: Path, seed: int = 0) -> None:
    """Write the raw data, the held-out tasks, the labels and the README into `folder`."""
    rng = Random(seed)
    held_out = held_out_tasks(rng)
    files = placed(rng, rows(rng, held_out))
    broken = sorted(rng.sample(range(len(files["sharegpt.jsonl"]) + len(BROKEN)), len(BROKEN)))
    write(folder / "held_out.jsonl", lines(held_out_row(task) for task in held_out))
    write(
        folder / "alpaca.json", json.dumps([alpaca(row) for row in files["alpaca.json"]], indent=0, ensure_ascii=False)
    )
    write(folder / "sharegpt.jsonl", with_broken([encoded(sharegpt(row)) for row in files["sharegpt.jsonl"]], broken))
    write(folder / "messages.parquet", parquet(files["messages.parquet"]))
    labels = labelled(files, broken)
    write(folder / "labels.jsonl", lines(labels))
    write(folder / "README.md", readme(files, labels))


def held_out_tasks(rng: Random) -> list[Task]:
    """Draw the held-out tasks, no prompt twice."""
    tasks: dict[str, Task] = {}
    for family, share in SHARES.items():
        wanted = len(tasks) + share * HELD_OUT // 100
        while len(tasks) < wanted:
            task = draw(rng, family, "held_out")
            tasks.setdefault(task.prompt, task)
    return list(tasks.values())


def rows(rng: Random, held_out: list[Task]) -> list[Row]:
    """Draw all rows: the faulty, the clean, and last the copies, each the copy of a clean row of its own."""
    maker = Maker(rng)
    faulty = [maker.faulty(fault) for fault in FAULTY for _ in range(FAULTS[fault])]
    leaks = [
        leak(rng, number, held_out[number]) for number in rng.sample(range(HELD_OUT), FAULTS["leaked held-out task"])
    ]
    opened = [maker.opened() for _ in range(OPENED)]
    left = sum(FILES.values()) - sum(FAULTS.values()) - OPENED
    clean = [maker.clean() for _ in range(left)]
    near = [copy for row in opened if (copy := near_copy(rng, row))][: FAULTS["near duplicate"]]
    exact = [exact_copy(rng, row) for row in clean[: FAULTS["exact duplicate"]]]
    for row in clean[FAULTS["exact duplicate"] :]:
        row.system = rng.choice(SYSTEMS) if rng.random() < 1 / 10 else None
    return [*faulty, *leaks, *opened, *clean, *near, *exact]


def placed(rng: Random, drawn: list[Row]) -> dict[str, list[Row]]:
    """Shuffle the rows over the files; a copy stands behind its original, the files in the order of `FILES`."""
    rng.shuffle(drawn)
    place = {row: number for number, row in enumerate(drawn)}
    for row in list(drawn):
        if isinstance(row.of, Row) and place[row] < place[row.of]:
            place[row], place[row.of] = place[row.of], place[row]
    ordered = iter(sorted(drawn, key=place.__getitem__))
    return {file: [next(ordered) for _ in range(count)] for file, count in FILES.items()}


def labelled(files: dict[str, list[Row]], broken: list[int]) -> list[dict[str, Any]]:
    """Give a label for each planted fault: file and row (from 0), fault, family, and the row it copies or leaks."""
    whole = [number for number in range(len(files["sharegpt.jsonl"]) + len(broken)) if number not in broken]
    names = {
        row: (file, whole[number] if file == "sharegpt.jsonl" else number)
        for file, listed in files.items()
        for number, row in enumerate(listed)
    }
    labels = [
        {
            "file": file,
            "row": number,
            "fault": row.fault,
            "family": row.family,
            "of": "{}:{}".format(*names[row.of]) if isinstance(row.of, Row) else row.of,
        }
        for row, (file, number) in names.items()
        if row.fault
    ]
    bad = {"file": "sharegpt.jsonl", "fault": "broken line", "family": None, "of": None}
    return sorted(
        [*labels, *({**bad, "row": number} for number in broken)], key=lambda label: (label["file"], label["row"])
    )


def alpaca(row: Row) -> dict[str, Any]:
    """Give a row as Stanford Alpaca has it; what stands before the task is the instruction."""
    instruction, _, asked = row.prompt.partition("\n\n")
    told = {"system": row.system} if row.system else {}
    return {**told, "instruction": instruction, "input": asked, "output": row.reply, **checked(row)}


def sharegpt(row: Row) -> dict[str, Any]:
    """Give a row as ShareGPT has it."""
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    turns = [{"from": names[turn["role"]], "value": turn["content"]} for turn in messages(row)]
    return {"conversations": turns, **checked(row)}


def messages(row: Row) -> list[dict[str, str]]:
    """Give a row's turns as OpenAI has them."""
    turns = [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.reply}]
    return [{"role": "system", "content": row.system}, *turns] if row.system else turns


def checked(row: Row) -> dict[str, str | None]:
    """Give a row's gold answer and its check."""
    return {"reference": row.reference, "check": row.check}


def held_out_row(task: Task) -> dict[str, Any]:
    """Give a held-out task: its prompt as messages, no reply."""
    asked = [{"role": "user", "content": task.prompt}]
    return {"messages": asked, "reference": task.reference, "check": task.check, "family": task.family}


def parquet(listed: list[Row]) -> bytes:
    """Give rows as a Parquet file of messages."""
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("messages", pa.list_(turn)), ("reference", pa.string()), ("check", pa.string())])
    table = pa.Table.from_pylist([{"messages": messages(row), **checked(row)} for row in listed], schema)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def with_broken(good: list[bytes], broken: list[int]) -> bytes:
    """Give the lines of a file with the broken ones at their places."""
    merged, bad = iter(good), dict(zip(broken, BROKEN, strict=True))
    count = len(good) + len(broken)
    return b"".join((bad[number] if number in bad else next(merged)) + b"\n" for number in range(count))


def encoded(value: dict[str, Any]) -> bytes:
    """Give a value as JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode()


def lines(values: Iterable[dict[str, Any]]) -> bytes:
    """Give values as JSON lines."""
    return b"".join(encoded(value) + b"\n" for value in values)


def write(file: Path, content: str | bytes) -> None:
    """Write `content`, a text as UTF-8 with a final line feed."""
    file.write_bytes(content if isinstance(content, bytes) else content.encode() + b"\n")


def readme(files: dict[str, list[Row]], labels: list[dict[str, Any]]) -> str:
    """Say what is in the files, from what was written."""
    counts = Counter(label["fault"] for label in labels)
    sizes = {file: len(listed) + (len(BROKEN) if file == "sharegpt.jsonl" else 0) for file, listed in files.items()}
    listing = "\n".join(f"- `{file}`: {size:,} rows" for file, size in sizes.items())
    table = "\n".join(f"| {fault} | {count} |" for fault, count in sorted(counts.items()))
    total = sum(sizes.values())
    return README.format(listing=listing, table=table, total=total, faults=sum(counts.values()), held_out=HELD_OUT)


def main() -> None:
    """Write the data beside this script, or into another folder."""
    parser = argparse.ArgumentParser(description="Make the demo's raw data.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make(arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
