"""Parts of the reference-set page."""
