"""A running node: MeshNetwork and what drives its planes."""
