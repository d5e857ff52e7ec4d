"""The page in the browser: visitors' sessions, the transcript, the layout and its wiring. Knows no model and no torch."""
