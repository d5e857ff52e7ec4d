"""Tracks and answers -> files for people and for other programs, one module per format; `formats` lists them."""
