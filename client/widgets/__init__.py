"""Theme, icons and small widgets."""
