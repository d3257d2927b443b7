"""Export of pictures, views and movies."""
