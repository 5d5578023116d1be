"""The confide command."""
