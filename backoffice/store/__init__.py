"""Where records live. Everything that speaks SQL is in this folder."""
