"""From text to terms: normalisation and tokenization."""
