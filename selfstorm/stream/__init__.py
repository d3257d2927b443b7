"""The streaming engine: ingest, history, window, picture."""
