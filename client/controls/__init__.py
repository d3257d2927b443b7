"""Control of the daemon from the viewer's menus and dialogs."""
