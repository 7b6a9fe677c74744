"""Everything that uses PyTorch, and no Spark. Each file here is an architecture, with its `Options` and `Model`."""
