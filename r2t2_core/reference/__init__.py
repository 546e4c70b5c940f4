"""Reference sets: labelled samples that the frozen model has met, and how to find the like."""
