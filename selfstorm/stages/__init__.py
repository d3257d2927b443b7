"""The stages of a reconstruction: density, emitters, localisations, rendering."""
