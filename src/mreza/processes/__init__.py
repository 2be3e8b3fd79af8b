"""Named handlers that do the work."""
