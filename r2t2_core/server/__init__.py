"""The backend: the engine behind HTTP, and its client."""
