"""Datasets that ship with a dependency, and readers of public benchmark archives."""
