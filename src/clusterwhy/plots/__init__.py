"""Plots: functions draw on the given axes; pages are whole figures."""
