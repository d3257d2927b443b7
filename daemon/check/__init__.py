"""`selfstorm-daemon check`: diagnose a set-up before it runs."""
