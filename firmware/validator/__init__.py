"""The device application: one tap after another, from card to journal to back office. Imports tunion and its ports."""
