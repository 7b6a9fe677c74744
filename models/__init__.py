"""Everything PyTorch, and no Spark: a model is one file here, with its `Options` and its `Model`."""
