"""Tests of confide.rasa."""
