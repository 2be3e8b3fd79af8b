"""The domains joined into one node, still without I/O."""
