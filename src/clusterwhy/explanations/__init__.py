"""Explanations of clusters, anomalies and selections, and their evaluation."""
