"""What a trained model is on disk: weights, vocabulary, manifest."""
