"""Feature files to trained bundle: reading, the loop, the bundle, metrics."""
