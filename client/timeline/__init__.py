"""Looking back through past windows."""
