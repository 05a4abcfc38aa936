"""Cards from the blank to the rider: initialised, personalised, issued, replaced. Layouts: backoffice/docs/cards.md."""
