"""Conversations that last: each in a folder of its own, saved after every turn, opened again after a restart."""
