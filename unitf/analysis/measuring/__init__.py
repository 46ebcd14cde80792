"""Measuring: how fast a recipe trains, how near the machine's limit, and where the time goes."""
