"""Tiles in processes of their own, one a device, over shared memory.

See docs/decisions/0032.
"""
