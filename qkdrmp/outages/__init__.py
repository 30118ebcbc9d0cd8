"""Outages: what it costs if a link or a repeater is gone."""
