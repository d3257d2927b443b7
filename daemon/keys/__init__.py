"""CURVE keys: who may connect, and what they may do."""
