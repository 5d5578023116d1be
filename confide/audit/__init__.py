"""The audit log: one append function, a closed set of event names."""
