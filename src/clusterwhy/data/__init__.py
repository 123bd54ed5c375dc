"""A series and its windows, scaled, split and stored."""
