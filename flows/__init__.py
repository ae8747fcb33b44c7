"""Prefect: flows, tasks, schedules, artifacts. Orchestration only."""
