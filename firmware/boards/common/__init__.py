"""What boards share: clock, commands, wiring of the parts that the settings name."""
