"""Fields larger than one device's memory, computed tile by tile.

See docs/decisions/0032.
"""
