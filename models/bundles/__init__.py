"""A trained model on disk: its weights, vocabulary and manifest."""
