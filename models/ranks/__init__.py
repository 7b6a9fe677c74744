"""The processes of a distributed training: their group, their output, and the records of how they ended."""
