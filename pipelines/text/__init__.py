"""From texts to terms: normalisation and tokenization."""
