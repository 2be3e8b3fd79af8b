"""Where handlers run: on the event loop, or in threads."""
