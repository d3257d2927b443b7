from client.remote_daemon import Daemon as Daemon
