"""Embedders: texts to vectors of length 1, by a model here or behind a server."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generators.weights import check_model, folder_revision, is_folder, model_name
from schemas.engines import Embedder
from schemas.errors import EngineError
from schemas.vectors import Vectors


def mean_pooled(*, model: str, revision: str = "main", batch: int = 64, max_length: int = 512) -> Embedder:
    """Embed by any checkpoint that transformers reads: the mean of its last hidden states over a text's tokens.

    `model` is a folder, or a hub's name at `revision`. `batch` is texts at once; a text counts up to `max_length`
    tokens. It runs in this process, on the accelerator where there is one. Raises `EngineError` for a folder that is
    no model.
    """
    if is_folder(model):
        check_model(model, chat=False)
    return _MeanPooled(model, revision, batch, max_length)


def sentences(*, model: str, revision: str = "main", batch: int = 64) -> Embedder:
    """Embed by a sentence-transformers model, a folder or a hub's name at `revision`: its own pooling and prompts.

    The package sentence-transformers is not among ours: `pip install sentence-transformers -c constraints.txt`. Raises
    `EngineError` for a folder that isn't there.
    """
    if is_folder(model) and not Path(model).is_dir():
        raise EngineError(f"model {model!r}: there is no such folder (looked in {Path(model).absolute().parent})")
    return _Sentences(model, revision, batch)


def server(
    *, url: str, model: str, revision: str = "", api_key_variable: str = "OPENAI_API_KEY", batch: int = 256
) -> Embedder:
    """Embed by a server that speaks OpenAI's embeddings API, at `url` (up to and with `/v1`), `batch` texts a request.

    `revision` names what is served there, where that can change under one name. The key is in the environment variable
    `api_key_variable`, where the server needs one.
    """
    return _Server(url, model, revision, api_key_variable, batch)


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Give the vectors at length 1; one of length 0 stays so."""
    array = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    result: Vectors = np.divide(array, lengths, out=np.zeros_like(array), where=lengths > 0)
    return result


@dataclass(eq=False)
class _MeanPooled:
    path: str
    hub_revision: str
    batch: int
    max_length: int
    _loaded: tuple[Any, Any] | None = field(default=None, init=False)

    @property
    def model(self) -> str:
        return model_name(self.path)

    @property
    def revision(self) -> str:
        name = folder_revision(self.path) if is_folder(self.path) else self.hub_revision
        return f"{name}-mean-{self.max_length}"

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        # Like lengths go together: less padding. The order is the texts' own again at the end.
        order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), at))
        batches = [order[start : start + self.batch] for start in range(0, len(order), self.batch)]
        made: list[Vectors] = [self._embed([texts[at] for at in batch]) for batch in batches]
        vectors = np.concatenate(made) if made else np.zeros((0, 1), np.float32)
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def close(self) -> None:
        self._loaded = None

    def _embed(self, texts: list[str]) -> Vectors:
        import torch

        tokenizer, model = self._load()
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt").to(
            model.device
        )
        if tokens["input_ids"].shape[1] == 0:  # texts without a token
            return np.zeros((len(texts), model.config.hidden_size), np.float32)
        with torch.inference_mode():
            states = model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return unit(means.float().cpu().numpy())

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()  # type: ignore[no-untyped-call] # a run says itself how far it is
            revision = {} if is_folder(self.path) else {"revision": self.hub_revision}
            tokenizer = AutoTokenizer.from_pretrained(self.path, padding_side="right", **revision)
            tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._loaded = tokenizer, AutoModel.from_pretrained(self.path, **revision).to(device).eval()
        return self._loaded


@dataclass(eq=False)
class _Sentences:
    path: str
    hub_revision: str
    batch: int
    _loaded: Any = field(default=None, init=False)

    @property
    def model(self) -> str:
        return model_name(self.path)

    @property
    def revision(self) -> str:
        return folder_revision(self.path) if is_folder(self.path) else self.hub_revision

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        if self._loaded is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                raise EngineError(
                    "sentence-transformers is not installed: `pip install sentence-transformers -c constraints.txt`"
                ) from None
            revision = {} if is_folder(self.path) else {"revision": self.hub_revision}
            self._loaded = SentenceTransformer(self.path, **revision)
        return unit(self._loaded.encode(list(texts), batch_size=self.batch, show_progress_bar=False))

    def close(self) -> None:
        self._loaded = None


@dataclass(frozen=True)
class _Server:
    url: str
    model: str
    revision: str
    api_key_variable: str
    batch: int
    devices: ClassVar[str] = ""  # it holds none

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        import openai

        client = openai.OpenAI(base_url=self.url, api_key=os.environ.get(self.api_key_variable) or "none")
        made: list[Any] = []
        for start in range(0, len(texts), self.batch):
            wanted = list(texts[start : start + self.batch])
            try:
                found = client.embeddings.create(model=self.model, input=wanted, encoding_format="float").data
            except openai.OpenAIError as error:
                raise EngineError(f"{self.url} gave no embeddings by {self.model!r}: {error}") from None
            by_place = {one.index: one.embedding for one in found}
            if by_place.keys() != set(range(len(wanted))):
                raise EngineError(f"{self.url} gave {len(found)} embeddings for {len(wanted)} texts")
            made += [by_place[at] for at in range(len(wanted))]
        return unit(made) if made else np.zeros((0, 1), np.float32)

    def close(self) -> None:
        """Do nothing: the server's device is its own."""
