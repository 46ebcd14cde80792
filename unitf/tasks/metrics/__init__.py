"""Metrics of tasks, built on torchmetrics."""
