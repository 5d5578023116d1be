"""Values behind tokens: what the bot says to one session, and to nobody else."""
