"""Daemons of many microscopes, placed on the machines of a Ray cluster.

Ray chooses a machine for each daemon, and another one where that is lost. Frames, pictures and keys never pass through
it: they take the encrypted sockets that they take between any two machines. See docs/decisions/0032.
"""
