"""Calls between our own processes: who may call whom, and how each proves it."""
