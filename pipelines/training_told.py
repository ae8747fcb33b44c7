"""What `./mill train` is told of training sections: options of the command line."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from schemas.errors import RecipeError

if TYPE_CHECKING:
    from pipelines.training import Training

OF_RECIPE = "A file whose [[train]] sections are taken in the place of the run's own."
OF_METHOD = (
    "sft, dpo, kto, reward, rloo, grpo, or preference (DPO or KTO, as the data has pairs); several in their order. "
    "The options below are for all of them; docs/training.md tells what is taken without them."
)
OF_SET = "Any other key of [[train]], as in TOML: --set generations=4 --set 'arguments={beta=0.05}'."


@Parameter(name="*")
@dataclass(frozen=True)
class Told:
    """The options; null where one is not told."""

    recipe: Annotated[Path | None, Parameter(help=OF_RECIPE)] = None
    method: Annotated[list[str] | None, Parameter(help=OF_METHOD, negative=())] = None
    base: Annotated[str | None, Parameter(help="The model to train, in the place of the recipe's.")] = None
    learning_rate: float | None = None
    epochs: float | None = None
    batch_size: int | None = None
    max_length: int | None = None
    loss: Annotated[list[str] | None, Parameter(help="By TRL's name: ipo, robust, hinge, ...", negative=())] = None
    lora: Annotated[int | None, Parameter(help="The rank of adapters, trained in the place of all weights.")] = None
    budget: Annotated[
        list[str] | None, Parameter(help="Where training stops: 200steps, 1000000tokens, 30min.", negative=())
    ] = None
    source: Annotated[list[str] | None, Parameter(help="The sources whose rows are trained on.", negative=())] = None
    set: Annotated[list[str] | None, Parameter(help=OF_SET, negative=())] = None

    def sections(self) -> tuple["Training", ...]:
        """Give the sections that are told, a section a method; none where nothing is.

        Raises `RecipeError` for keys that no section has, or without a method that they are for.
        """
        from pipelines.finetune import read_sections, section_of

        keys = self._keys()
        if self.recipe and (keys or self.method):
            raise RecipeError("mill train", ["either --recipe, whose sections are taken as they are, or --method"])
        if self.recipe:
            return read_sections(self.recipe)
        if keys and not self.method:
            raise RecipeError("mill train", [f"{', '.join(keys)}: of which --method?"])
        return tuple(section_of(keys | {"method": method}, f"--method {method}") for method in self.method or [])

    def _keys(self) -> dict[str, Any]:
        names = ("base", "learning_rate", "epochs", "batch_size", "max_length", "loss", "budget")
        keys: dict[str, Any] = {name: getattr(self, name) for name in names}
        keys["lora"] = None if self.lora is None else {"rank": self.lora}
        keys["only"] = None if self.source is None else {"sources": self.source}
        try:
            more = tomllib.loads("\n".join(self.set or []))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError("mill train", [f"--set {' '.join(self.set or [])}: this is no TOML: {error}"]) from error
        return {name: value for name, value in keys.items() if value is not None} | more
