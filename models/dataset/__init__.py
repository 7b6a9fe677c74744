"""From feature files to tensors."""
