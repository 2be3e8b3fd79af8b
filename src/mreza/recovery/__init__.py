"""After a loss: what happened to the mesh, and how it becomes one again."""
