"""Confide: a Rasa assistant a business can let its customers trust with their accounts."""
