"""Names and notes that people give to clusters and segments, and events from other sources."""
