"""Parts of the debug page."""
