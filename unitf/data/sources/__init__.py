"""Sources of samples: one module for each format."""
