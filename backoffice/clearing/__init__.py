"""From stored taps to settled fen: check, verify, resolve, run. backoffice/docs/clearing.md."""
