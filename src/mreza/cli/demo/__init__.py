"""`mreza demo`: five node processes do real work on real files, and survive losses."""
