"""The board "unix": MicroPython's unix port on a PC, with real PC/SC readers and serial lines."""
