"""Parts of the re-route page."""
