"""Indicators, trends and events: how far a picture can be trusted."""
