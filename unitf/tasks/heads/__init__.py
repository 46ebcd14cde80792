"""Heads: from columns to what a task predicts."""
