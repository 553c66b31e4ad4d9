"""Image files, without labels: reading, decoding, what is known of each, and which show the same."""
