"""Links that make pairs trial by trial, and how connections share them."""
