"""Requests of viewers and scripts: server, handler, client."""
