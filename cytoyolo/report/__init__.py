"""Draw tables as pictures. Nothing is computed here."""
