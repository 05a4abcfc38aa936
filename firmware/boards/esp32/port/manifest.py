"""Frozen as main.py, which the port runs after a reset. Its own modules are left out: they would format the flash."""

freeze(".", "main.py")  # noqa: F821 - the build brings it
