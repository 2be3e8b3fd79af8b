"""Records to graph to next hops to a decision."""
