"""Prefect: flows, tasks, schedules, triggers, artifacts. Orchestration only."""

import os

os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # the first start can pass 20 s
os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")  # seconds; the least: a dead run is found by it
os.environ.setdefault("OMP_NUM_THREADS", "1")
