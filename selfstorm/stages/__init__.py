"""Stages of a reconstruction: density, emitters, localizations, picture."""
