"""Readers of users' files: cells, clock, grid and gaps are checked in one order."""
