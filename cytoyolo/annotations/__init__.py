"""The annotation-cleaning module: a label table is judged, mended, and its log taken back."""
