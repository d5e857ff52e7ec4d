"""The checkpoints as the authors of SPARROW released them: found, checked, loaded, and run as released."""
