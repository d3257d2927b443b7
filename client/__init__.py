from client.control import Daemon as Daemon
