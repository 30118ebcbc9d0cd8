"""Statistics of replications: intervals, comparisons, and when to stop."""
