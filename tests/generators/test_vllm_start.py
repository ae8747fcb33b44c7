"""What vLLM is started with: what is told before it starts and where it fails, and that nothing is left of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generators import vllm
from schemas.chats import Chat
from schemas.engines import Request
from schemas.errors import EngineError
from tests.generators.vllm_requests import GREEDY, QUESTION, requests

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("_temporary_files_go_to_a_long_path_of_the_test")

ASKING = """
import sys, time
from generators.vllm import local
from schemas.engines import Request, Sampling

engine = local(model=sys.argv[1])
next(engine([Request([{"role": "user", "content": "1 + 1?"}], Sampling(), engine.model, engine.revision)]))
print(engine._child.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.vllm
@pytest.mark.slow
def test_a_killed_run_leaves_no_vllm_behind(tiny: str) -> None:
    command = [sys.executable, "-c", ASKING, tiny]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        worker = int(run.stdout.readline())
        assert alive(worker)
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(worker)


def alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.vllm
@pytest.mark.slow
def test_a_start_that_fails_shows_why_and_where_the_log_is(tiny: str, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    engine = vllm.local(model=str(tmp_path / "broken"))
    with pytest.raises(EngineError, match=r"did not start with .*broken.*exit status 1.*Its log is (?s:.*)Error"):
        list(engine(requests(engine)))


def test_a_port_in_use_is_told_before_anything_starts(tiny: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        engine = vllm.server(model=tiny, port=taken.getsockname()[1])
        start = time.monotonic()
        with pytest.raises(EngineError, match=f"can't have port {taken.getsockname()[1]}: Address already in use"):
            list(engine(requests(engine)))
    assert time.monotonic() - start < 2


def test_a_folder_that_is_no_model_is_told_all_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    engine = vllm.local(model=str(tmp_path))
    with pytest.raises(EngineError, match=r"no weights.*no tokenizer.*no chat template.*found: config.json"):
        requests(engine)
    with pytest.raises(EngineError, match="there is no such folder"):
        requests(vllm.local(model=str(tmp_path / "nowhere")))


def test_a_python_without_vllm_is_told_with_the_way_to_get_it(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for python in (sys.executable, "/nowhere/python"):
        monkeypatch.setenv("GRISTMILL_VLLM_PYTHON", python)
        engine = vllm.local(model=tiny)
        with pytest.raises(EngineError, match=r"no Python that has vLLM. `make vllm` makes one"):
            list(engine(requests(engine)))


def test_the_revision_is_the_weights_and_not_the_readme(tiny: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (copy / "README.md").write_text("Changed.")
    assert vllm.local(model=str(copy)).revision == vllm.local(model=tiny).revision
    assert vllm.local(model=tiny, dtype="bfloat16").revision != vllm.local(model=tiny).revision
    assert vllm.local(model=tiny, max_model_len=64).revision != vllm.local(model=tiny).revision


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_the_revision_changes_when_a_file_of_the_model_does(tiny: str, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    before = vllm.local(model=str(copy)).revision
    with (copy / name).open("ab") as file:
        file.write(b" ")
    assert vllm.local(model=str(copy)).revision != before


@pytest.mark.vllm
@pytest.mark.slow
def test_a_lora_adapter_changes_the_model_as_transformers_says(tiny: str, adapter: str) -> None:
    from generators import huggingface

    engine = vllm.local(model=tiny, adapter=adapter)
    other = huggingface.local(model=tiny, adapter=adapter)
    bare = huggingface.local(model=tiny)
    chat: Chat = [{"role": "user", "content": QUESTION}]
    found = []
    for one in (engine, other, bare):
        found += list(one([Request(chat, GREEDY, one.model, one.revision, continuation="The answer is 7.")]))
        one.close()
    with_adapter, expected, without = (reply.logprob for reply in found)
    assert with_adapter == pytest.approx(expected, abs=1e-3)
    assert abs((with_adapter or 0) - (without or 0)) > 0.1


def test_the_adapter_is_part_of_the_revision_and_one_that_is_none_is_told(tiny: str, adapter: str) -> None:
    assert vllm.local(model=tiny, adapter=adapter).revision != vllm.local(model=tiny).revision
    with pytest.raises(EngineError, match=r"no adapter_config\.json and no adapter_model\.safetensors"):
        requests(vllm.local(model=tiny, adapter=tiny))
