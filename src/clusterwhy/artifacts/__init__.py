"""Artifacts: how they are written and read, what they hold, and whether they are valid."""
