"""Readers and writers of movies, pictures and tables."""
