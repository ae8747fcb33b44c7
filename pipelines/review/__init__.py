"""Review: people read what a run made, blind, and what they say flows into calibration and selection."""
