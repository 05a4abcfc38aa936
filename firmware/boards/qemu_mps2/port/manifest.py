"""Frozen into the board's interpreter: what starts a validator from its ROM image."""

freeze(".", "boot.py")  # noqa: F821 - the build brings it
