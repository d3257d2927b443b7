"""Camera and PSF learned from the data, and their fine-tuning."""
