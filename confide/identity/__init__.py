"""Who is talking, how strongly they proved it, and to exactly which act."""
