"""Simulated movies with ground truth."""
