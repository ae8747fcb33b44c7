"""Commands that publish a run's datasets and withdraw them."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.told import Json, Out, as_json
from pipelines.finished import run_named


def publish(
    name: str,
    *,
    to: str,
    version: str | None = None,
    public: Annotated[bool, Parameter(negative=())] = False,
    pr: Annotated[bool, Parameter(negative=())] = False,
    license: str | None = None,  # noqa: A002 - the option's name
    license_reason: str | None = None,
    despite: str | None = None,
    leave_out: Annotated[bool, Parameter(negative=())] = False,
    out: Out = Path("runs"),
    json: Json = False,
) -> None:
    """Publish a recipe's newest run: its datasets, card, recipe and lock, checked, in one visible step; private first.

    Parameters
    ----------
    name
        The recipe's name, or a run's folder.
    to
        org/name on the hub, a folder (path/ or ./path), or s3://bucket/prefix.
    version
        v1.2 or the like; the next by itself where left out.
    public
        Make the dataset on the hub public once all of it is there.
    pr
        Propose it as a pull request instead.
    license
        The dataset's licence, where the sources' own leave none; with --license-reason, which the card gives.
    despite
        The reason to publish in spite of what the checks found; the card gives it. Secrets are never published.
    leave_out
        Leave out the rows in which a secret or personal data was found.
    """
    from pipelines.licences import stated
    from pipelines.publish import publish as put
    from pipelines.publish import words

    folder = run_named(name, out)
    licence = stated(license, license_reason)
    told = put(folder, to, version=version, public=public, pr=pr, licence=licence, despite=despite, leave_out=leave_out)
    print(as_json(told) if json else words(told))


def unpublish(to: str, *, version: str, reason: str, json: Json = False) -> None:
    """Withdraw a published version with a reason: its data and tag are removed, and the card says why."""
    from pipelines.publish import unpublish as withdraw
    from pipelines.publish import words

    told = withdraw(to, version, reason)
    print(as_json(told) if json else words(told))
