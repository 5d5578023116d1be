"""The public edge: sockets, sessions, limits and lanes. Holds no data key."""
