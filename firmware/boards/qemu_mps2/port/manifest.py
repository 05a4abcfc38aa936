"""Frozen into the board's interpreter: how a validator starts. The validator itself: firmware/manifest.py"""

freeze(".", "boot.py")  # noqa: F821 - the build brings it
