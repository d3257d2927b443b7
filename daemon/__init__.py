"""The streaming reconstruction service."""
