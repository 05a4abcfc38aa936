"""Raspberry Pi Pico W, RP2040: reader and modem on its two UARTs, the SAM in the reader or in software."""
