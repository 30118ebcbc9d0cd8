"""Settings: sections of a scenario, bundled files, and the points of a sweep."""
