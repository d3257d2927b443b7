"""Reference methods: the published Self-STORM and the classics."""
