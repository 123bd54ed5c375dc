"""Anomaly scores and thresholds."""
