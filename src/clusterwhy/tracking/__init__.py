"""Weights & Biases: one run per stage, recorded offline or synced while it runs."""
