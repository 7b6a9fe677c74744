"""What a job prints while it runs and when it fails: progress, messages, and outages in one sentence."""
