"""Programs that make what the repository ships: sprites, data, weights, reference set, gallery."""
