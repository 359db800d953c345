"""Measurements: ratios to the machine's own limits, taken in the same run."""
