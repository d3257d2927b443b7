"""`selfstorm-daemon watch`: the account, live in a terminal."""
