"""Versions of code, by which an edit of it gives a stage's output another name."""

import ast
import importlib.util
from pathlib import Path

from pipelines.store import sha256
from schemas.chats import content_id


def code_version(*modules: str) -> str:
    """Name the source text of modules, which need not be imported: an edit of any gives another name.

    A package stands for all modules in it.
    """
    specs = [importlib.util.find_spec(module) for module in modules]
    files = [
        file
        for spec in specs
        if spec and spec.origin
        for file in (
            sorted(Path(spec.origin).parent.glob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]
        )
    ]
    return content_id(*map(sha256, files))


def part_version(*modules: str) -> str:
    """Name the source text of modules and of all of the same room that they import: an edit of any gives another name.

    Modules of a user's own, outside our rooms, count by their own text.
    """
    known: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        spec = importlib.util.find_spec(module)
        if module not in known and spec and spec.origin:
            known[module] = Path(spec.origin)
            waiting += _imported(known[module], module.partition(".")[0])
    return content_id(*((module, sha256(known[module])) for module in sorted(known)))


def _imported(file: Path, room: str) -> list[str]:
    """Give the modules of `room` that a module imports anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(file.read_bytes())) if file.suffix == ".py" else ():
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith(f"{room}.") and _is_module(name)]


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # `name` is a function of a module that is no package
        return False
