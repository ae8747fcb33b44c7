"""Measured claims, each a script that prints a table."""
