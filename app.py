"""Open the page: `python app.py`, then visit the address that it prints."""

from __future__ import annotations

import argparse

from sparrow.errors import SparrowError
from sparrow.page.launch import serve


def main() -> None:
    """Read the arguments and serve until interrupted."""
    parser = argparse.ArgumentParser(description="Talk with a video in the browser.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        dest="models",
        help="folder or hub id to offer besides sparrow-mini; may be repeated, the first is the default "
        "(none: SPARROW_MODEL)",
    )
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
    parser.add_argument("--share", action="store_true", help="public link through Gradio's tunnel")
    parser.add_argument(
        "--mcp", action="store_true", help='also an MCP server (pip install "gradio[mcp]")'
    )
    arguments = parser.parse_args()
    try:
        serve(**vars(arguments))
    except SparrowError as error:
        parser.exit(1, f"sparrow: {error}\n")


if __name__ == "__main__":
    main()
