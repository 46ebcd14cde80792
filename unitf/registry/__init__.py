"""The registry: hooks, discovery, and the classes that plugins bring."""
