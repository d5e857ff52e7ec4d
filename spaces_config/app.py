"""The Space's app.py: the page on the address and port that a Space forwards to the world."""

from sparrow.page.launch import serve

serve(host="0.0.0.0", port=7860)
