"""What a job prints while it runs and when it fails: progress, messages, outages in one sentence."""
