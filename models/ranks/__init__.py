"""The processes of a distributed training: their group, what they print, and how each of them ended."""
