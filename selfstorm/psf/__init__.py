"""PSF models and how they are sampled and rendered."""
