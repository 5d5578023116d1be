"""The `confide` command: start the whole, keep its keys, ask it how it is."""
