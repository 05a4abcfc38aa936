"""The card and the SAM as JT/T 978.2 describes them: files, commands, refusals."""
