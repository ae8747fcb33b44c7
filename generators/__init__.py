"""Engines, the ledger that pays for each answer once, and what makes candidates."""
