"""Records and reachability to member states and events."""
