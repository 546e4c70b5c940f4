"""The life of reference sets: built, imported, judged, refined, shrunk, refreshed."""
