"""RuleSets being executed."""
