"""Tables become pictures; nothing is computed here."""
