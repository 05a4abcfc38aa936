"""The portable core: what a card, a validator and clearing must agree on, byte for byte.

Runs unchanged on MicroPython and CPython. Touches no pin, socket, file or clock.
"""
