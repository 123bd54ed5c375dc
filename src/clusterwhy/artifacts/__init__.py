"""Artifacts: atomic writing and safe reading, schemas, and validation."""
