"""Everything PyTorch. A model is one file here, with its `Options` and its `Model`; no Spark below this folder."""
