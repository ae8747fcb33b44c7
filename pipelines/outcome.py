"""The report's last sections: what was trained, what it can do, and what all of it cost."""

from typing import Any

import orjson

from pipelines import charts
from pipelines.closing import duration, number, points, share
from pipelines.page import Block, Cell, bar, code, note, table, words

Summary = dict[str, Any]


def training(jobs: list[Summary]) -> list[Block]:
    """Tell each job's rows, steps, loss and time, why it was as it was, and what was left out."""
    if not jobs:
        return [note("no_training")]
    rows = [
        [
            job["method"],
            *(number(job.get(key)) for key in ("rows", "steps", "final_loss")),
            duration(job.get("seconds")),
        ]
        for job in jobs
    ]
    said = [words(f"{job['method']}: ", code(settings)) for job in jobs if (settings := _settings(job))]
    said += [words(f"{job['method']}: {one}") for job in jobs for one in _reasons(job)]
    return [table(["Method", "Rows", "Steps", "Mean loss", "Time"], rows, "1234"), *said]


def _settings(job: Summary) -> str:
    """Give what the recipe's section says, but for the method."""
    section = job.get("made_from", {}).get("section", {})
    return ", ".join(f"{key} = {orjson.dumps(value).decode()}" for key, value in section.items() if key != "method")


def _reasons(job: Summary) -> list[str]:
    """Say why a job was as it was, and what of its rows or of its steps was left out."""
    told = list(job.get("reasons", []))
    cut = job.get("truncated", {})
    if any(cut.values()):
        told.append(f"{number(cut['cut'])} rows were cut at the greatest length, {number(cut['left_out'])} left out")
    if job.get("stopped"):
        told.append(f"stopped before its end, as {job['stopped']} was used up")
    return told


def evaluation(told: Summary) -> list[Block]:
    """Tell pass@1 before and after training, and the paired rise."""
    if not told:
        return [note("no_evaluation")]
    times = {when: told[when] for when in ("before", "after") if when in told}
    rows = [
        [when, share(one["pass@1"], one["interval"]), *(number(one[key]) for key in ("tasks", "samples", "unscored"))]
        for when, one in times.items()
    ]
    columns = ["Training", "pass@1", "Tasks", "Answers a task", "Without a verdict"]
    blocks = [note("evaluation"), table(columns, rows, "1234")]
    blocks += charts.whiskers("pass@1", ((when, one["pass@1"], one["interval"]) for when, one in times.items()))
    if "rise" in told:
        rise = points(told["rise"]["pass@1"], told["rise"]["interval"])
        blocks.append(
            words(f"Paired task by task over {number(told['rise']['tasks'])} tasks, pass@1 changed by {rise}.")
        )
    return blocks


def cost(summary: Summary) -> list[Block]:
    """Tell each stage's requests, tokens, money and time."""
    requests, seconds = summary["requests"], summary["seconds"]
    keys = ("asked", "from_ledger", "failed", "prompt_tokens", "reply_tokens")
    every = [*((code(stage), told) for stage, told in requests["stages"].items()), ("all", requests)]
    rows = [[stage, *(number(told[key]) for key in keys), _money(told)] for stage, told in every]
    most = max(seconds.values(), default=0.0)
    times: list[list[Cell]] = [[code(stage), duration(took), bar(took, most)] for stage, took in seconds.items()]
    return [
        note("cost"),
        table(["Stage", "Asked", "From the ledger", "Failed", "Tokens in", "Tokens out", "Money"], rows, "123456"),
        table(["Stage", "Time", ""], [*times, ["all", duration(sum(seconds.values())), ""]], "1"),
    ]


def _money(told: Summary) -> str:
    return f"{told['cost']:,.4f}" if told.get("cost") else "0"


def lineage(summary: Summary) -> list[Block]:
    """Tell what the run was made of, each by a hash."""
    told = summary["lineage"]
    files = [
        [code(one["file"]), number(one.get("bytes")), code(one.get("sha256", "not told"))] for one in summary["files"]
    ]
    models = [
        [code(one["model"]), code(one["revision"] or "not told"), number(one["candidates"])] for one in told["models"]
    ]
    stages = [[code(one["stage"]), code(one["output"]), code(one["code"] or "not told")] for one in told["stages"]]
    recipe = words("Recipe: ", code(told["recipe"]["file"]), ", SHA-256 ", code(told["recipe"]["sha256"]), ".")
    return [
        note("lineage"),
        recipe,
        table(["File", "Bytes", "SHA-256"], files, "1"),
        table(["Generator", "Revision", "Candidates"], models, "2"),
        table(["Stage", "Output", "Code"], stages),
    ]


def changes(told: Summary) -> list[Block]:
    """Tell what is different from the last version."""
    if not told:
        return [note("no_changes")]
    last = words("The last version is ", code(told["version"]), ".")
    if not (told["settings"] or told["figures"] or told["moved"]):
        return [note("changes"), last, words("No setting, no figure and no sample's place differs.")]
    figures = [[code(one["figure"]), _said(one["was"]), _said(one["is"])] for one in told["figures"]]
    settings = [
        [code(one["setting"]), *(code("not set" if one[side] is None else one[side]) for side in ("was", "is"))]
        for one in told["settings"]
    ]
    moved = [[code(one["was"]), code(one["is"]), number(one["samples"])] for one in told["moved"]]
    rows = [
        [code(one["dataset"]), *(number(one[key]) for key in ("same", "added", "removed"))] for one in told["datasets"]
    ]
    tables = [
        table(["Setting", "Was", "Is"], settings) if settings else words("No setting of the recipe differs."),
        table(["Figure", "Was", "Is"], figures, "12") if figures else words("No figure differs."),
        table(["Samples that were", "Are", "Count"], moved, "2") if moved else words("Every sample is where it was."),
        table(["Dataset", "In both", "Added", "Removed"], rows, "123"),
    ]
    return [note("changes"), last, *tables]


def _said(value: float | None) -> str:
    return "none" if value is None else number(value)
