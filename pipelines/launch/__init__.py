"""Starting the processes that train, and checking what they need."""
