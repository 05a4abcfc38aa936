"""Keys stay in here: callers get verdicts and MACs. Layout of the vault: backoffice/docs/keys.md."""
