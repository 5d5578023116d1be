"""The demo business, a small retail bank. A real business replaces this package."""
