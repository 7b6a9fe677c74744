"""The processes that train: where they are started, and what they need."""
