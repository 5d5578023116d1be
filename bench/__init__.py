"""`make bench`: the price of a secure turn, against stock Rasa. docs/benchmarks.md says what is measured and how to read it."""
