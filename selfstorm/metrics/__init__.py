"""Figures of merit: self-consistency, Fourier ring correlation, ground truth."""
