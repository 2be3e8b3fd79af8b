"""Who belongs to the mesh, and in what state: records and reachability become events."""
