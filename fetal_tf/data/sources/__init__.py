"""Where public datasets come from, and how they get to a folder."""
