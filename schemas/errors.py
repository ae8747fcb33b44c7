"""The project's errors, one a boundary. Each says what was found, what was expected, where, and what to do."""

from collections.abc import Sequence


class GristmillError(Exception):
    """What a user can mend. The command line prints it without a traceback."""


class RecipeError(GristmillError):
    """A recipe that can't be run: every fault in it, told at once."""

    def __init__(self, recipe: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"  - {fault}" for fault in self.faults)
        super().__init__(f"{recipe}: {len(self.faults)} fault(s), nothing was run\n{lines}")


class InputError(GristmillError):
    """Data that can't be read: a missing file, a layout that is not recognised, no good row at all."""


class EngineError(GristmillError):
    """A model that can't be started or has died: what is missing, and how to get it."""


class StoreError(GristmillError):
    """Stored tables that are not what their manifest says."""


class TrainingError(GristmillError):
    """A fine-tuning job that did not end well."""


class SandboxError(GristmillError):
    """No sandbox for code of unknown origin: what is missing, and how to get it."""


class PublishError(GristmillError):
    """A dataset that must not or could not be published: what stands against it, what is visible, what to do."""
