"""Devices, batch limits, compiled operations and uploads; no physics."""
