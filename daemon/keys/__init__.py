"""CURVE keys: clients that may connect, and their permissions."""
