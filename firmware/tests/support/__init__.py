"""Parts that stand in for hardware in the firmware's tests: real enough to refuse what the real ones refuse."""
