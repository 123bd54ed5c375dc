"""Why did these windows of a time series end up in one cluster, and why is this one anomalous?"""

__version__ = "0.1.0"
