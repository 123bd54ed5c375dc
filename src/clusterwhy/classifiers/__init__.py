"""Supervised classifiers: networks, training, checkpoints."""
