"""Workers, memory and disk limits, seeds."""
