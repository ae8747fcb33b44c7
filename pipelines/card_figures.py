"""The figures that a dataset's card tells of the run that made it, each with how it was counted; no row's text."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.closing import keeps, number, of, percent, share
from pipelines.figures import unchecked
from pipelines.generate import SOURCE
from pipelines.page import Block, Cell, code, figures, note, table, words

Summary = Mapping[str, Any]
CHANCE = 0.5
LOPSIDED = 0.1  # from an even share on, what can be learned in place of quality is said


def funnel(summary: Summary) -> list[Block]:
    """Tell the rows at each step."""
    rows = summary["rows"]
    steps: list[list[Cell]] = [
        ["Rows read", number(rows["read"]), "records found in the sources"],
        ["Further samples", number(rows.get("several", 0)), "of records that give several"],
        ["Quarantined", number(rows["quarantined"]), "records in which no sample could be read"],
        ["New prompts", number(rows.get("new_prompts", 0)), "grown from the samples"],
        ["Samples", number(rows["samples"]), "rows read and further samples less quarantined, and the new prompts"],
        ["Dropped", number(rows["dropped"]), "samples that broke a rule"],
        ["Kept", number(rows["kept"]), "samples that broke none"],
        ["Candidates", number(rows["candidates"]), "replies to kept prompts, failed ones and the data's own included"],
        ["SFT rows", number(rows["sft"]), "candidates selected to be learned, any number a prompt"],
        ["Preference pairs", number(rows["preferences"]), "pairs of a chosen and a rejected candidate"],
    ]
    return [table(["Step", "Rows", "Counted as"], steps, "1")]


def drops(summary: Summary, left_out: Mapping[str, int], leaked: int) -> list[Block]:
    """Tell each rule with its bound and what it dropped, and what was left out of the publication."""
    samples = summary["rows"]["samples"]
    rows = [
        [code(one["rule"]), keeps(one), of(one["dropped"], samples), of(one["broken"], samples), _facts(one)]
        for one in summary["rules"]
    ]
    columns = ["Rule", "Kept", "First to drop", "Broke it at all", "Not checked"]
    blocks = [table(columns, rows, "23")] if rows else [note("no_rules")]
    if rows:
        blocks.append(
            words("A sample is counted once as dropped, by the first rule in the recipe's order that it broke; one "
                  "that could not be measured is kept.")
        )  # fmt: skip
    if leaked:
        blocks.append(words(f"{number(leaked)} selected replies gave a benchmark away and are in no config."))
    for config, count in left_out.items():
        told = " row(s) left out before publication: a secret or personal data was found in them."
        blocks.append(words(code(config), f": {number(count)}{told}"))
    return blocks


def _facts(rule: Summary) -> str:
    return "; ".join(f"{name}: {value}" for name, value in unchecked(dict(rule)))


def candidates(told: Summary) -> list[Block]:
    """Tell how often each generator's replies pass."""
    if not told:
        return [note("no_candidates")]
    generators = [[code(one["model"]), number(one["replies"]), percent(one["passed"])] for one in told["by_generator"]]
    prompts: list[list[Cell]] = [
        [name, of(told[key], told["prompts"])]
        for name, key in (("all candidates pass", "all_pass"), ("some pass", "mixed"), ("all fail", "all_fail"))
    ]
    return [
        note("candidates"),
        table(["Generator", "Verified", "Pass"], generators, "12"),
        *([words(code(SOURCE), " is the reply that came with the data.")] if _of_the_data(told) else []),
        note("prompts"),
        table(["Prompts", "Count"], prompts, "1"),
    ]


def _of_the_data(told: Summary) -> bool:
    return any(one["model"] == SOURCE for one in told["by_generator"])


def judges(told: Summary) -> list[Block]:
    """Tell what each judge judged, how often it gave no verdict, and its agreement with the verifiers."""
    if not told:
        return [note("no_judges")]
    rows = [
        [
            code(name),
            one["kind"],
            number(one.get("comparisons", one.get("candidates"))),
            "; ".join(f"{status} {number(count)}" for status, count in one["without_verdict"].items()) or "0",
            percent(one["passed"] / one["scored"]) if one.get("passed") is not None and one.get("scored") else "",
            share(one["agreement"], one["interval"]) if "agreement" in one else "",
            percent(one["first_slot"]) if "first_slot" in one else "",
        ]
        for name, one in told.items()
    ]
    columns = [
        "Judge",
        "Kind",
        "Judged",
        "Without a verdict",
        "Pass",
        "Agrees with the verifiers",
        "Names the first place",
    ]
    return [
        *([note("pairwise")] if any("first_slot" in one for one in told.values()) else []),
        table(columns, rows, "2456"),
    ]


def preferences(told: Summary) -> list[Block]:
    """Tell the health of the preference pairs."""
    if not told.get("pairs"):
        return [note("no_preferences")]
    rows: list[list[Cell]] = [
        ["Pairs", number(told["pairs"])],
        ["Characters of the chosen reply, mean", f"{told['chosen_characters']:,.1f}"],
        ["Characters of the rejected reply, mean", f"{told['rejected_characters']:,.1f}"],
        ["Chosen is longer", percent(told["chosen_longer"])],
        ["Same length", percent(told["same_length"])],
        ["On policy: neither reply came with the data", percent(told["on_policy"])],
    ]
    generators = [
        [code(one["generator"]), number(one["replies"]), percent(one["chosen"])] for one in told["generators"]
    ]
    return [figures(rows), note("generators"), table(["Generator", "Replies in pairs", "Chosen"], generators, "12")]


def limitations(
    summary: Summary, rows: Mapping[str, Mapping[str, int]], findings: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Give what a user of the data must know of it, from its figures and from what the integrity suite found."""
    told = summary["preferences"]
    models = {one["model"] for one in (summary["candidates"] or {}).get("by_generator", [])}
    models |= {one["generator"] for one in told.get("generators", [])}
    found = [
        "Rules measure by form, and judges and verifiers err: the figures above say how often, where that is known.",
        "Secrets and personal data are found by their form: names, addresses in words and what has no form are not.",
    ]
    if models - {SOURCE}:
        found.append(
            "It holds what models wrote; their own licences and terms may bind its use, and their errors and biases "
            "are in it. The column that names the generator says which wrote a row."
        )
    if told.get("pairs") and abs(told["chosen_longer"] + told["same_length"] / 2 - CHANCE) > LOPSIDED:
        found.append(
            f"The chosen reply is the longer one in {percent(told['chosen_longer'])} of the pairs (of the same length "
            f"in {percent(told['same_length'])}): a model can learn length in place of quality."
        )
    if any(one["check"] == "generators" for one in findings):
        found.append(
            "Who wrote a reply often tells which side it is on (see the checks): a model can learn the writer's style "
            "in place of quality. The columns that name the generators let you take pairs of one writer alone."
        )
    unmeasured = [
        name
        for name, one in summary["judges"].items()
        if one["kind"] != "verifier" and one.get("agreement") is None and "people" not in one.get("cards", {})
    ]
    if unmeasured:
        found.append(f"Neither people nor a verifier checked these judges: {', '.join(unmeasured)}.")
    if not any("contamination" in one["rule"] for one in summary["rules"]):
        found.append("It was not held against benchmarks: it may hold their tasks.")
    if not any("duplicates" in one["rule"] for one in summary["rules"]):
        found.append("Duplicates were not looked for.")
    if all(splits.keys() == {"train"} for splits in rows.values()):
        found.append("No prompts were held out: to measure on it, split it by prompt.")
    return found
