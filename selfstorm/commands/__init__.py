"""The `selfstorm` command line."""
