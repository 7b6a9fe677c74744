"""The command line's `key=value` arguments: the keys of each job, their values, and the `--help` page."""
