"""Stages of a reconstruction: density, emitters, localisations, picture."""
