"""Metrics: faithfulness, clusters, detection, classification, calibration."""
