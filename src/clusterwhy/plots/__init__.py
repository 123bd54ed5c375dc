"""Figures, each drawn on the axes it is given."""
