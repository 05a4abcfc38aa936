"""What the boards on a PC share, under either interpreter."""
