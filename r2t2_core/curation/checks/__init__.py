"""The health check of reference sets: one check a file, a verdict each, a verdict in all."""
