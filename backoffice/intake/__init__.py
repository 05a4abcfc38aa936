"""Device sync: from an HTTPS body to durably stored, de-duplicated entries. backoffice/docs/intake.md."""
