"""Tokenizers: what a modality's plugin subclasses, and the modules of its embedding."""
