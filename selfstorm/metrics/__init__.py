"""Metrics: the registry, self-consistency, FRC, ground truth."""
