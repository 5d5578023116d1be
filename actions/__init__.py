"""The hands of the conversation: one module a skill, each action thin."""
