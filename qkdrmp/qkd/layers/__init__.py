"""The layers of a node of a QKD network, from the application to key generation."""
