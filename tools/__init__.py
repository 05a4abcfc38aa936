"""What builds, checks and drives the project from the command line."""
