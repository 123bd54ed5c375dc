"""A finished study applied to a new recording."""
