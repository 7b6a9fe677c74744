"""What runs are and what they reported."""
