"""Requests to the daemon from the viewer's menus and dialogs."""
