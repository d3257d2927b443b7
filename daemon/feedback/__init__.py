"""Density of emitters held by an activation laser; off unless armed."""
