"""The forward model: camera, operators, background, bad data."""
