"""Measuring: how fast a recipe trains, how close it comes to the machine's limit, and why."""
