"""Benchmarks of quality, speed and streaming, beside other methods."""
