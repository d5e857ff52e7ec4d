"""The command `sparrow`: arguments -> calls of the package, results -> files. Decides nothing itself.

Every module that a command needs is imported when it runs: `sparrow world` loads no torch, and
`sparrow --help` loads nothing. Exit code 0 only on success; 1 with one line on stderr; 2 on wrong usage.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparrow.bench.command import add_bench
from sparrow.convert import DTYPES
from sparrow.errors import SparrowError
from sparrow.looks import MODES
from sparrow.sessions.command import add_sessions

if TYPE_CHECKING:
    from sparrow.types import MaskTrack, Progress, Prompt, Referent
    from sparrow.video import Video


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: the process's own) and give its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    handler: Callable[[argparse.Namespace], None] = arguments.handler
    try:
        handler(arguments)
    except (SparrowError, OSError) as error:
        print(f"sparrow: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sparrow: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sparrow", description="Talk with a video and point into it.", allow_abbrev=False
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log what is done to stderr")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_world(commands)
    _add_ask(commands)
    _add_track(commands)
    _add_train(commands)
    add_bench(commands, _show, _end_progress)
    _add_serve(commands)
    add_sessions(commands)
    _add_convert(commands)
    _add_atlas(commands)
    return parser


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _command(
    commands: Commands, name: str, help_text: str, handler: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
    parser.set_defaults(handler=handler)
    return parser


def _add_world(commands: Commands) -> None:
    parser = _command(commands, "world", "Draw one clip of the procedural world.", _world)
    parser.add_argument("--seed", type=_natural, required=True, help="same seed, same clip")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for clip.mp4, annotation.json"
    )
    parser.add_argument("--difficulty", choices=("easy", "full"), default="full")


def _world(arguments: argparse.Namespace) -> None:
    from sparrow.world.clip import write_clip
    from sparrow.world.picture import load_atlas
    from sparrow.world.scene import Scene

    scene = Scene.sample(arguments.seed, difficulty=arguments.difficulty, atlas=load_atlas())
    write_clip(scene, arguments.out)
    print(arguments.out / "clip.mp4")


def _add_ask(commands: Commands) -> None:
    parser = _command(commands, "ask", "Ask a question about a video.", _ask)
    parser.add_argument("video", type=Path)
    parser.add_argument("question")
    _add_results(parser, "answer.json, masks.json and annotated.mp4")
    _add_model(parser)


def _ask(arguments: argparse.Namespace) -> None:
    from sparrow.export.answer import write_answer_json
    from sparrow.ingest import open_video

    video = open_video(arguments.video)
    arguments.out.mkdir(parents=True, exist_ok=True)
    from sparrow.pipeline import Sparrow  # torch: after what can fail at once

    sparrow = Sparrow.from_pretrained(arguments.model)
    answer = sparrow.chat(video).ask(arguments.question, progress=_show)
    _end_progress()
    write_answer_json(
        arguments.out / "answer.json",
        answer,
        question=arguments.question,
        model=str(sparrow.card["name"]),
    )
    _write_results(arguments, video, answer.referents, answer.tracks)
    print(answer.text)


def _add_track(commands: Commands) -> None:
    parser = _command(commands, "track", "Follow what you point at, without language.", _track)
    parser.add_argument("video", type=Path)
    parser.add_argument(
        "--frame", type=_natural, required=True, help="the frame pointed at, from 0"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--box", type=_numbers(4), metavar="X0,Y0,X1,Y1", help="pixels as displayed")
    where.add_argument(
        "--point",
        type=_numbers(2),
        nargs="+",
        metavar="X,Y",
        help="pixels on the thing, as displayed",
    )
    parser.add_argument(
        "--adapt",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="first let a copy of the tracker learn the thing for so long; 30 is plenty (default: 0)",
    )
    _add_results(parser, "masks.json and annotated.mp4")
    _add_model(parser)


def _track(arguments: argparse.Namespace) -> None:
    from sparrow.ingest import open_video
    from sparrow.types import Referent, colour_of

    video = open_video(arguments.video)
    arguments.out.mkdir(parents=True, exist_ok=True)
    from sparrow.pipeline import Sparrow  # torch: after what can fail at once

    sparrow = Sparrow.from_pretrained(arguments.model)
    tracks = sparrow.track(
        video, _prompts(arguments), adapt_seconds=arguments.adapt, progress=_show
    )
    _end_progress()
    pointed = Referent(1, "what you pointed at", None, colour_of(1))
    _write_results(arguments, video, (pointed,), tracks)
    seen = int(tracks[0].visible().sum())
    print(f"seen in {seen} of {video.num_frames} frames")


def _prompts(arguments: argparse.Namespace) -> list[Prompt]:
    from sparrow.types import Prompt

    if arguments.box is not None:
        return [Prompt(1, arguments.frame, "box", arguments.box)]
    return [Prompt(1, arguments.frame, "point+", point) for point in arguments.point]


def _write_results(
    arguments: argparse.Namespace,
    video: Video,
    referents: Sequence[Referent],
    tracks: Sequence[MaskTrack],
) -> None:
    from sparrow.export.formats import export
    from sparrow.looks import Look

    for kind in arguments.format:
        look = Look(arguments.look)
        export(kind, arguments.out, video, tracks, referents, look, progress=_show)
        _end_progress()


def _add_train(commands: Commands) -> None:
    parser = _command(commands, "train", "Run training stages, one after the other.", _train)
    parser.add_argument("configs", type=Path, nargs="+", metavar="CONFIG", help="YAML of a stage")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of all stages' runs"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="then put the stages' best weights into one model here",
    )


def _train(arguments: argparse.Namespace) -> None:
    from sparrow.train.recipe import assemble, train

    for stage, metrics in train(arguments.configs, arguments.runs).items():
        print(stage, " ".join(f"{name}={value:.4g}" for name, value in metrics.items()))
    if arguments.out is not None:
        assemble(arguments.configs, arguments.runs, arguments.out)
        print(arguments.out)


def _add_serve(commands: Commands) -> None:
    parser = _command(commands, "serve", "Open the page.", _serve)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_natural, default=7860)
    _add_model(parser)


def _serve(arguments: argparse.Namespace) -> None:
    from sparrow.page.launch import serve

    models = [arguments.model] if arguments.model else []
    serve(models=models, host=arguments.host, port=arguments.port)


def _add_convert(commands: Commands) -> None:
    parser = _command(
        commands, "convert", "Write a released SPARROW as one model folder.", _convert
    )
    parser.add_argument("release", metavar="RELEASE", help="folder or hub id of the main store")
    parser.add_argument(
        "--proposer", required=True, metavar="P", help="folder or hub id of the detector"
    )
    parser.add_argument(
        "--video-tower", metavar="V", help="InternVideo2's file (default: the published one)"
    )
    parser.add_argument(
        "--image-tower", metavar="I", help="CLIP's folder or hub id (default: the published one)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, help="of the VideoLLM's weights (default: as released)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")


def _convert(arguments: argparse.Namespace) -> None:
    from sparrow.convert import convert

    folder = convert(
        arguments.release,
        proposer=arguments.proposer,
        video_tower=arguments.video_tower,
        image_tower=arguments.image_tower,
        dtype=arguments.dtype,
        out=arguments.out,
    )
    print(folder)


def _add_atlas(commands: Commands) -> None:
    parser = _command(commands, "atlas", "Build the world's pictures from packages.", _atlas)
    parser.add_argument("packs", type=Path, help="folder with the downloaded packages")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="ZIP", help="the atlas that ships")
    what.add_argument("--training", type=Path, metavar="DIR", help="pictures for training only")
    parser.add_argument("--own", type=Path, metavar="DIR", help="your things/ and backgrounds/ too")


def _atlas(arguments: argparse.Namespace) -> None:
    from sparrow.world.atlas import build_assets, build_atlas

    if arguments.out is not None:
        if arguments.own is not None:
            raise SparrowError(
                "atlas: --own goes with --training; the shipped atlas takes packages only"
            )
        count = build_atlas(arguments.packs, arguments.out)
    else:
        count = build_assets(arguments.packs, arguments.training, arguments.own)
    print(f"{count} pictures")


def _add_results(parser: argparse.ArgumentParser, files: str) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help=f"folder for {files}"
    )
    parser.add_argument(
        "--format",
        type=_formats,
        default=["youtube-vis", "mp4"],
        metavar="F,F",
        help="other files: mp4 gif png coco youtube-vos youtube-vis mot webm mov rgba all (docs/downloads.md)",
    )
    parser.add_argument(
        "--look", choices=MODES, default="mask", help="how things are marked in mp4 and gif"
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="M", help="folder or hub id (default: SPARROW_MODEL, else sparrow-mini)"
    )


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _formats(text: str) -> list[str]:
    from sparrow.export.formats import format_of

    try:
        return [format_of(kind).key for kind in text.split(",")]
    except SparrowError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise argparse.ArgumentTypeError(f"expected seconds from 0, got {text!r}")
    return seconds


def _numbers(count: int) -> Callable[[str], np.ndarray]:
    """Make a reader of `count` finite numbers with commas between, (count,) float32."""

    def read(text: str) -> np.ndarray:
        try:
            values = np.array([float(part) for part in text.split(",")], dtype=np.float32)
        except ValueError:
            values = np.empty(0, dtype=np.float32)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise argparse.ArgumentTypeError(f"expected {count} numbers like 1,2.5, got {text!r}")
        return values

    return read


def _show(progress: Progress) -> None:
    """Keep one line on a terminal up to date; say nothing where stderr is a file."""
    if sys.stderr.isatty():
        total = f"/{progress.total}" if progress.total else ""
        print(
            f"\r\033[K{progress.step} {progress.done}{total}", end="", file=sys.stderr, flush=True
        )


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
