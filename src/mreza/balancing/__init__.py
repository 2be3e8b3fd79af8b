"""Who should do the work."""
