"""Which windows belong together: clusters by density, or states in time order."""
