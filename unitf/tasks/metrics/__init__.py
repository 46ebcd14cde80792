"""Metrics of tasks, as torchmetrics has them."""
