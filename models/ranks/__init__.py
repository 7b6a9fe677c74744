"""The processes of a distributed training."""
