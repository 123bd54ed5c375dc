"""A finished study in Python: tables with real times, relevance of chosen windows, figures, new data."""
