"""Training: losses, one task a module, and the loop that runs them."""
