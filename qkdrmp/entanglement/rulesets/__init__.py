"""RuleSets as data, and how they are planned."""
