"""Pictures, views and movies out of the viewer."""
