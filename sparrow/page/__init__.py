"""The page in the browser: visitors' sessions, the transcript, the layout and its wiring. Imports no torch."""
