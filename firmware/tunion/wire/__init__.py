"""What is journaled and sent: one layout for the validator's flash, the upload and the back office."""
