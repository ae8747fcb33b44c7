"""What the fixtures that measure are, to a type checker."""

from collections.abc import Callable

Measured = Callable[..., float | None]
Column = Callable[..., list[float | None]]
