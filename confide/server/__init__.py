"""The action server: launcher, guard and the private API the gateway calls."""
