"""What several rooms' tests share."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from schemas.engines import Engine

settings.register_profile("any machine", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("any machine")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # with busy cores more threads make vLLM and TRL 8 to 20 times slower

ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that have a slow test first: none is left for one process alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def tiny() -> str:
    """The model that the tests ask; another can be named, for a run on an accelerator say."""
    return os.environ.get("GRISTMILL_TEST_MODEL", str(ROOT / "models" / "tiny"))


@pytest.fixture(scope="session")
def adapter(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A LoRA adapter of that model with random weights, as PEFT writes it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = str(tmp_path_factory.mktemp("adapter"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT reads what transformers has renamed
        model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
        torch.manual_seed(0)
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vllm_engine(tiny: str) -> Iterator[Engine]:
    """A real vLLM, started once for all tests, by the first that asks it."""
    from generators.vllm import local

    engine = local(model=tiny)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def reward_model(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny model with a random head of one output."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = str(tmp_path_factory.mktemp("reward"))
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype=torch.float32)
    torch.nn.init.normal_(model.score.weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
