"""The card of a published dataset: README.md, metadata that the hub reads and words that a person judges it by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines import card_figures, outcome, trust
from pipelines.closing import number, result
from pipelines.configs import CONFIGS
from pipelines.licences import TERMS, Licence
from pipelines.page import Block, Cell, code, examples, markdown, table, words

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
WITHDRAWN = "Withdrawn versions"
History = Mapping[str, Mapping[str, Any]]  # by version: what the target's `versions.json` says of it


@dataclass(frozen=True)
class Told:
    """What a card tells: where the dataset is, what is in it, and what was found of it before it was published."""

    name: str
    version: str
    load: str  # Python that loads it
    summary: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, int]]  # by config and split
    licence: Licence
    licences: Sequence[Sequence[Any]]  # config, source, licence, rows
    languages: Sequence[str]
    checked: Mapping[str, Any]  # what the integrity suite found
    found: Sequence[Mapping[str, Any]]  # what is private and is published, a reason given
    left_out: Mapping[str, int] = field(default_factory=dict)
    leaked: int = 0
    despite: str | None = None
    versions: History = field(default_factory=dict)  # those that are there already


def card(told: Told) -> str:
    """Give README.md; raises `ValueError` where huggingface_hub does not accept its metadata."""
    from huggingface_hub import DatasetCard, DatasetCardData

    data = DatasetCardData(**metadata(told))
    content = f"---\n{data.to_yaml()}\n---\n\n{body(told)}{withdrawn(told.versions)}"
    DatasetCard(content)  # reads it as the hub does
    return content


def metadata(told: Told) -> dict[str, Any]:
    """Give the fields that the hub reads; the first config is the default."""
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": f"data/{name}/{split}/*.parquet"} for split in splits],
            **({"default": True} if at == 0 else {}),
        }
        for at, (name, splits) in enumerate(told.rows.items())
    ]
    total = sum(next(iter(told.rows.values())).values())
    size = next((name for bound, name in SIZES if total < bound), "10M<n<100M")
    tags = ["gristmill", *(f"trl-{name}" for name in ("sft", "preferences", "unpaired", "grpo") if name in told.rows)]
    known = [one for one in told.licence.ids if one in TERMS]
    named = {"license": known[0] if len(known) == 1 else known}
    other = {"license": "other", "license_name": re.sub(r"[^a-z0-9.-]+", "-", "-".join(told.licence.ids))}
    return {
        **(named if known else other),
        **({"language": list(told.languages)} if told.languages else {}),
        "pretty_name": told.name.rpartition("/")[2],
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": tags,
        "configs": configs,
    }


def body(told: Told) -> str:
    """Give the card without its metadata."""
    summary = told.summary
    made = {
        "Contents": _contents(told),
        "Licence": _licence(told),
        "From raw rows to this dataset": card_figures.funnel(summary),
        "What was dropped, and why": card_figures.drops(summary, told.left_out, told.leaked),
        "Candidates": card_figures.candidates(summary["candidates"]),
        "Judges": [
            *card_figures.judges(summary["judges"]),
            *trust.people(summary["judges"]),
            *trust.gamed(summary["judges"]),
        ],
        "Preferences": card_figures.preferences(summary["preferences"]),
        "Trained on it": _shown([*outcome.training(summary["training"]), *outcome.evaluation(summary["evaluation"])]),
        "Checks before publication": _checks(told),
        "Limitations": _limitations(told),
        "How to make it again": _again(told),
    }
    page = {
        "name": told.name.rpartition("/")[2],
        "facts": f"Version {told.version} of {told.name}, made by Gristmill: run {summary['version']}, "
        f"seed {summary['seed']}.",
        "result": result(dict(summary)).replace("->", "→") + ".",
        "sections": [{"title": title, "blocks": blocks} for title, blocks in made.items()],
    }
    return markdown(page)


def _shown(blocks: Sequence[Block]) -> list[Block]:
    """Leave out the charts, of which Markdown has the names alone."""
    return [block for block in blocks if block["kind"] != "chart"]


def _contents(told: Told) -> list[Block]:
    rows: list[list[Cell]] = [
        [code(name), CONFIGS[name], *(number(splits.get(split, 0)) for split in ("train", "test"))]
        for name, splits in told.rows.items()
    ]
    return [
        table(["Config", "A row is", "train", "test"], rows, "23"),
        words("test is the share of prompts that was held out: by the hash of a prompt's first turn, so that no prompt "
              "is on both sides. 0 means that nothing was."),
        *examples([{"facts": "To load it with datasets:", "texts": [("Python", told.load)]}]),
    ]  # fmt: skip


def _licence(told: Told) -> list[Block]:
    counted: dict[tuple[str, str | None], dict[str, int]] = {}
    for config, source, terms, count in told.licences:
        counted.setdefault((source, terms), {})[config] = count
    configs = list(told.rows)
    rows = [
        [code(source), "not stated" if terms is None else code(terms), *(number(of.get(name, 0)) for name in configs)]
        for (source, terms), of in sorted(counted.items(), key=str)
    ]
    numbers = "".join(str(at) for at in range(2, 2 + len(configs)))
    return [
        words("The whole: ", *_joined(told.licence.ids), ". ", told.licence.why),
        table(["Source", "Licence, as the source states it", *configs], rows, numbers),
    ]


def _joined(names: Sequence[str]) -> list[Cell]:
    return [part for at, name in enumerate(names) for part in ((", ", code(name)) if at else (code(name),))]


def _checks(told: Told) -> list[Block]:
    checked = told.checked
    blocks = [
        words(f"The integrity suite held {number(checked['pairs'])} pairs to what their labels need to be right: "
              f"{checked['errors']} error(s), {checked['warnings']} warning(s).")
    ]  # fmt: skip
    if checked["findings"]:
        rows = [
            [one["severity"], code(one["check"]), code(one["told"], 400), number(len(one["rows"]))]
            for one in checked["findings"]
        ]
        blocks.append(table(["Severity", "Check", "Found", "Rows"], rows, "3"))
    if told.despite is not None:
        blocks.append(words("Published in spite of that, for this reason: ", code(told.despite, 1000)))
    kinds = sorted({one["kind"] for one in told.found})
    private = (
        f"{number(len(told.found))} place(s) have the form of personal data ({', '.join(kinds)})"
        if kinds
        else "nothing was found"
    )
    blocks.append(
        words("All texts were searched once more for secrets and personal data, by their form (keys and tokens, e-mail "
              f"addresses, telephone, card and account numbers, IP addresses): {private}.")
    )  # fmt: skip
    return blocks


def _limitations(told: Told) -> list[Block]:
    return [words(f"- {one}") for one in card_figures.limitations(told.summary, told.rows, told.checked["findings"])]


def _again(told: Told) -> list[Block]:
    return [
        words("Beside this card: ", code("recipe.toml"), " is what was asked; ", code("lock.json"), " holds the hashes "
              "of the sources and of the data files, the revisions of the models and the versions of all packages; ",
              code("croissant.json"), " describes the files for machines (Croissant 1.0). With the same sources and "
              "models, ", code("./mill run recipe.toml"), " makes it again. ", code(f"{told.version}"),
              " is this version's tag."),
    ]  # fmt: skip


def withdrawn(versions: History) -> str:
    """Give the last section: the versions that were withdrawn, with their reasons; nothing where there are none."""
    from pipelines.page import inline

    rows = [
        f"- {inline(code(name))}: {inline(code(told['yanked'], 1000))}"
        for name, told in versions.items()
        if told.get("yanked")
    ]
    return "\n".join(["", f"## {WITHDRAWN}", "", *rows, ""]) if rows else ""


def rewritten(content: str, versions: History) -> str:
    """Give a card of before with the versions that are withdrawn now."""
    return content.partition(f"\n## {WITHDRAWN}\n")[0] + withdrawn(versions)


def withdrawn_card(name: str, version: str, versions: History) -> str:
    """Give the card that stands in the place of a version that was withdrawn: no config, and so nothing to load."""
    from huggingface_hub import DatasetCard, DatasetCardData

    from pipelines.page import inline

    short = name.rpartition("/")[2]
    left = [one for one, told in versions.items() if not told.get("yanked")]
    told = f"{version} was withdrawn. Still there: {', '.join(left) or 'no version'}."
    data = DatasetCardData(pretty_name=short, tags=["gristmill", "withdrawn"])
    content = f"---\n{data.to_yaml()}\n---\n\n# {inline(short)}\n\n{told}\n{withdrawn(versions)}"
    DatasetCard(content)
    return content
