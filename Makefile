# The two commands are `make demo` and `make test`; both set up what is missing first.
PYTHON ?= python3.11
PIP_OPTIONS ?= --quiet --disable-pip-version-check
export OMP_NUM_THREADS ?= 1
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false

.PHONY: setup vllm demo test check bench clean

setup: .venv/.ready .venv-vllm/.ready
vllm: .venv-vllm/.ready

# A stamp is written last: a set-up that was broken off is begun again.
.venv/.ready: requirements.txt constraints.txt set-up
	./set-up main "$(PYTHON)" $(PIP_OPTIONS)
	@touch $@

# vLLM pins another fastapi than Prefect needs, so it has an environment of its own (docs/decisions/0002).
.venv-vllm/.ready: requirements-vllm.txt set-up
	./set-up vllm "$(PYTHON)" $(PIP_OPTIONS)
	@touch $@

demo: setup
	./mill run recipes/demo.toml

test: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/.ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup
	.venv/bin/python -m benchmarks.finetuning

clean:
	rm -rf .venv .venv-vllm runs
