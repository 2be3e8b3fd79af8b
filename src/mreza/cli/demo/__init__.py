"""`mreza demo`: three node processes in a line do real work on real files."""
