"""The road from feature files to tensors."""
