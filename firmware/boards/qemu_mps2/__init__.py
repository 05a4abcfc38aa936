"""An emulated ARM board, mps2-an385: a validator with 192 KiB of heap, four serial lines, NOR flash, a watchdog."""
