"""privacy.yml: what each action needs, read and validated at start."""
