"""Bundled and public benchmark datasets."""
