"""Frames received, counted and cut into windows."""
