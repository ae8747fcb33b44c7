"""What a folder with a model in it must hold, and its name by content."""

import hashlib
import json
from functools import cache
from pathlib import Path

from schemas.chats import content_id
from schemas.errors import EngineError

NO_WEIGHTS = {".md", ".txt", ".png", ".pdf", ".log"}  # a changed README is the same model; vocab.txt is let in below
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def is_folder(model: str) -> bool:
    """Say whether `model` means a folder here, there or not, and not a hub name (`owner/name`)."""
    path = Path(model)
    return (
        path.is_dir() or path.is_absolute() or model.startswith(".") or (len(path.parts) > 1 and path.parent.is_dir())
    )


def model_name(model: str) -> str:
    """Give what requests call it: the hub's name, or the folder's last part, so that a copy elsewhere is the same.

    What is in the folder is its `folder_revision`.
    """
    return Path(model).resolve().name if is_folder(model) else model


def check_model(model: str, *, chat: bool = True) -> None:
    """Raise `EngineError` when the folder `model` lacks something that a (chat) model needs, naming all of it."""
    folder = Path(model)
    if not folder.is_dir():
        raise EngineError(f"model {model!r}: there is no such folder (looked in {folder.absolute().parent})")
    missing = [what for what, there in _parts(folder, chat=chat).items() if not there]
    if missing:
        raise EngineError(
            f"model {model!r} is no model folder: it has no {'; no '.join(missing)}. Expected is what "
            f"`save_pretrained` writes; found: {', '.join(sorted(path.name for path in folder.iterdir())) or 'nothing'}"
        )


def check_adapter(adapter: str) -> str:
    """Give `adapter` back; raises `EngineError` when it is no folder with a LoRA adapter as PEFT writes it."""
    folder = Path(adapter)
    missing = [name for name in ADAPTER if not (folder / name).is_file()]
    if missing:
        raise EngineError(f"adapter {adapter!r} has no {' and no '.join(missing)}; expected is what PEFT writes")
    return adapter


def folder_revision(model: str) -> str:
    """Name the folder `model` by its content, 16 hexadecimal digits; a file is read again only when it has changed."""
    files = sorted(path for path in Path(model).iterdir() if _counts(path))
    return content_id(*((path.name, _digest(path.absolute(), *_stamp(path))) for path in files))


def version(model: str, revision: str, *more: object, adapter: str | None = None) -> str:
    """Name the weights, by content where they are a folder, and `more` that changes answers: "0123…-float16-512".

    What is null is left out. Raises `EngineError` for a folder that is no model, or no adapter.
    """
    if is_folder(model):
        check_model(model)
    name = folder_revision(model) if is_folder(model) else revision
    tuned = f"adapter {folder_revision(check_adapter(adapter))}" if adapter is not None else None
    return "-".join(str(part) for part in (name, *more, tuned) if part is not None)


def _parts(folder: Path, *, chat: bool) -> dict[str, bool]:
    needed = {
        "config.json": (folder / "config.json").is_file(),
        "weights (*.safetensors or *.bin)": any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")),
        f"tokenizer ({', '.join(TOKENIZERS)})": any((folder / name).is_file() for name in TOKENIZERS),
    }
    template = "chat template (chat_template.jinja, or chat_template in tokenizer_config.json)"
    return needed | ({template: _has_template(folder)} if chat else {})


def _has_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    if (folder / "chat_template.jinja").is_file():
        return True
    return config.is_file() and "chat_template" in json.loads(config.read_bytes())


def _counts(path: Path) -> bool:
    if not path.is_file() or path.name.startswith(".") or path.name in {"training_args.bin", "training.json"}:
        return False
    return path.name in TOKENIZERS or path.name == "merges.txt" or path.suffix not in NO_WEIGHTS


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@cache
def _digest(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
