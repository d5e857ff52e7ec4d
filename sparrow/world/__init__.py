"""The procedural world: referential videos with exact masks, tracks and dialogues, from a seed."""
