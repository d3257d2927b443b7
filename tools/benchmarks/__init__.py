"""Benchmarks of quality, speed and streaming, compared with other methods."""
