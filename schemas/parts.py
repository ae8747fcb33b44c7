"""Parts: functions that a recipe names as `module:function`; their keyword-only arguments are its other keys."""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError


class PartError(ValueError):
    """A part that can't be used as it is named: every fault in it."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


def load(use: str, arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """Give the function that `use` names with `arguments` bound to it, each checked against its annotation.

    Raises `PartError` for an unknown module or function, an argument that the part doesn't take (each with the nearest
    right name), one that is missing, one of the wrong type.
    """
    function = find(use)
    hints = get_type_hints(function)
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    faults = [f"{use} takes no argument {name!r}{nearest(name, known)}" for name in arguments if name not in known]
    needed = [name for name, parameter in known.items() if parameter.default is inspect.Parameter.empty]
    faults += [f"{use} needs the argument {name!r}" for name in needed if name not in arguments]
    checked: dict[str, Any] = {}
    for name in (name for name in known if name in arguments):
        try:
            checked[name] = TypeAdapter(hints[name]).validate_python(arguments[name])
        except ValidationError as error:
            faults.append(f"{use}: {name} is {arguments[name]!r}: {error.errors()[0]['msg']}")
            continue
        if _is_number(checked[name]) and not _is_number(arguments[name]):  # pydantic reads "5" and true as numbers
            faults.append(f"{use}: {name} is {arguments[name]!r}: expected a number, without quotes")
    if faults:
        raise PartError(faults)
    return partial(function, **checked)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def find(use: str) -> Callable[..., Any]:
    """Give the function that `use` names; raises `PartError` with the nearest right name."""
    module_name, _, function_name = use.partition(":")
    if not function_name:
        raise PartError([f"{use!r} is no part: parts are named module:function, such as filters.length:words"])
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError, TypeError) as error:  # the latter two: a name like "a..b", ".a"
        missing = getattr(error, "name", None)
        if missing is not None and not module_name.startswith(missing):
            raise PartError([f"{use!r} needs the package {missing!r}, which is not installed"]) from error
        raise PartError([f"no module {module_name!r}{nearest(module_name, _modules(module_name))}"]) from error
    found = getattr(module, function_name, None)
    if not callable(found):
        own = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"]
        raise PartError([f"{module_name} has no part {function_name!r}{nearest(function_name, own)}"])
    return found  # type: ignore[no-any-return] # any callable is a part


def _modules(name: str) -> list[str]:
    """Give the modules of the room that a module's name starts with, or the rooms that hold parts."""
    room = name.partition(".")[0]
    try:
        folder = importlib.import_module(room).__path__
    except (ImportError, AttributeError, ValueError):
        return ["filters", "generators", "judges", "pipelines.select", "pipelines.strategies"]
    return [f"{room}.{module.name}" for module in pkgutil.iter_modules(folder)]


def nearest(name: str, known: Iterable[str]) -> str:
    """Give the end of an error message that offers the known name most like `name`, or all of a few."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(names))}" if names else ""
