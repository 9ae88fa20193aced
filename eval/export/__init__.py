"""A run in the log formats of other harnesses, so that people keep their viewers. Needs none of them installed."""
