"""The sections of a recipe: what each may hold."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.parts import load

Option = TypeVar("Option")


class Section(BaseModel):
    """A section of a recipe; a key it doesn't know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(BaseModel):
    """A part: `use` names the function, the other keys are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys that are the function's."""
        return dict(self.__pydantic_extra__ or {})

    def build(self) -> Any:
        """Call the part for what it makes: a rule, an engine, a judge."""
        return load(self.use, self.arguments)()


Temperature = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
OneOrMore = Annotated[
    tuple[Option, ...], BeforeValidator(lambda told: told if isinstance(told, list | tuple) else (told,))
]


class Generate(Section):
    """How candidates are made: `samples` answers a prompt; the reply that came with the data is one more.

    They are `engine`'s, or each is drawn for one of the `pool` by its share. Of several temperatures, `top_p`, `min_p`,
    `systems` or `personas` each answer takes another in turn.
    """

    engine: str | None = None
    pool: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    samples: int = Field(4, ge=1, le=1024)
    temperature: OneOrMore[Temperature] = Field((1.0,), min_length=1)
    top_p: OneOrMore[Share] = Field((1.0,), min_length=1)
    min_p: OneOrMore[Annotated[float, Field(ge=0, le=1)]] = Field((0.0,), min_length=1)
    max_tokens: int = Field(256, ge=1)
    stop: tuple[str, ...] = ()
    system: str | None = None
    systems: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()
    keep_reply: bool = True

    @model_validator(mode="after")
    def one_or_a_pool(self) -> Self:
        """Hold the section to one of the two."""
        if (self.engine is None) == (not self.pool):
            raise ValueError("expected either `engine`, one name, or `pool`, shares by name")
        return self

    @property
    def asks(self) -> tuple[str, ...]:
        """The engines that answer."""
        return tuple(self.pool) if self.engine is None else (self.engine,)


class Tokens(Section):
    """What a million tokens of the prompt and of the reply cost, in a currency of the recipe's own."""

    prompt: float = Field(0.0, ge=0)
    reply: float = Field(0.0, ge=0)


class EnginePart(Part):
    """An engine; `price` is what its answers cost, which changes none of them."""

    price: Tokens | None = None


class FilterPart(Part):
    """A rule; `engine` answers it, or makes the vectors it compares, where it needs one."""

    engine: str | None = None


class PromptPart(Part):
    """A grower of `count` new prompts out of `parents`: the data's samples, new ones of parts before it, or all."""

    engine: str | None = None
    count: int = Field(ge=1)
    seed: int | None = None
    parents: Literal["data", "new", "all"] = "data"
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(512, ge=1)


class JudgePart(Part):
    """A judge or verifier; `engine` answers a judge, which sees `pairs` pairs a prompt; `engines` answer a jury.

    With `calibrated` the judge is used only with a card of at least that agreement with people.
    """

    engine: str | None = None
    engines: tuple[str, ...] = ()
    pairs: int = Field(1, ge=1)
    calibrated: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def one_or_several(self) -> Self:
        """Hold the section to one of the two."""
        if self.engine is not None and self.engines:
            raise ValueError("expected either `engine`, one name, or `engines`, a jury's")
        return self

    @property
    def asks(self) -> tuple[str, ...]:
        """The engines that answer, a jury's in the order of its members."""
        return self.engines if self.engine is None else (self.engine,)


class SelectPart(Part):
    """A rule of selection; `held_out` is the share of prompts whose rows are the split "test".

    `reviews` is a file of what people said (`./mill review`, or CSV labels), which overrules what the rule picked.
    """

    held_out: float = Field(0.0, ge=0, lt=1)
    reviews: str | None = None


class Evaluate(Section):
    """What is measured before and after training: `samples` answers a task of `benchmark`, as `judge` verifies them."""

    benchmark: str
    judge: Part
    samples: int = Field(4, ge=1)
    temperature: float = Field(1.0, ge=0)
    max_tokens: int = Field(256, ge=1)
