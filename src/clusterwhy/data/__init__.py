"""Series and windows: scaling, splits, storage."""
