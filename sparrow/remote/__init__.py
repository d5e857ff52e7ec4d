"""What goes over the wire between a page and the machine that runs its model: requests one way, events the other."""
