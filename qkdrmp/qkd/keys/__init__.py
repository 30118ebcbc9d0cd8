"""Key pools and what fills them: both ends of a link, its devices, and the bits of keys."""
