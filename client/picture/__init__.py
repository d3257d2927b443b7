"""Pictures on screen, and measurements in them."""
