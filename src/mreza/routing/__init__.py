"""Records to graph to next hops: who passes an envelope on, and to whom."""
