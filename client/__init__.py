"""Viewer of Self-STORM live, and a client for scripts (`Daemon`)."""

from client.remote_daemon import Daemon as Daemon
