"""The wire format, as PROTOCOL.md defines it."""
