"""Training: all that needs Lightning."""
