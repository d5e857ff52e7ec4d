"""Seeds -> outcomes of their worlds, in this process or in several, going on where a run was killed.

Every world is measured alone and in one thread, so that the numbers are the same however many work. Knows
no question and no score.
"""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from sparrow.bench.kept import Kept
from sparrow.bench.outcome import World
from sparrow.bench.worlds import Order, load, measure
from sparrow.errors import SparrowError
from sparrow.types import Progress
from sparrow.world.picture import load_atlas

logger = logging.getLogger(__name__)


def run(
    order: Order,
    seeds: range,
    path: Path,
    *,
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> list[World]:
    """Measure the worlds of these seeds that are not in a file yet, adding each to it; gives all by seed.

    Args:
        order: what is measured.
        seeds: of the worlds.
        path: of the finished worlds' outcomes.
        workers: processes; each takes about 1 GB.
        progress: told after each world.

    Raises:
        SparrowError: the model cannot be loaded, the file is of another run, or a process was killed.
    """
    started = time.monotonic()
    with Kept(path, order) as kept, tempfile.TemporaryDirectory(prefix="sparrow-bench-") as name:
        missing = [seed for seed in seeds if seed not in kept.worlds]
        done = len(seeds) - len(missing)
        folder = Path(name)
        alone = workers == 1
        for world in (
            _alone(order, missing, folder) if alone else _spread(order, missing, folder, workers)
        ):
            kept.add(world)
            done += 1
            logger.info("world %d: %d of %d", world.seed, done, len(seeds))
            if progress is not None:
                progress(Progress("world", done, len(seeds), time.monotonic() - started))
        return [kept.worlds[seed] for seed in seeds]


def _alone(order: Order, seeds: Sequence[int], folder: Path) -> Iterator[World]:
    if not seeds:
        return
    sparrow, atlas = load(order), load_atlas()
    for seed in seeds:
        yield measure(sparrow, order, atlas, seed, folder)


def _spread(order: Order, seeds: Sequence[int], folder: Path, workers: int) -> Iterator[World]:
    """Let processes measure, each one world at a time, in the order in which they finish."""
    context = get_context("spawn")
    waiting = iter(seeds)
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(min(workers, len(seeds))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, order, folder), daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
            ours.send(next(waiting))
        while processes:
            for ready in wait(list(processes)):
                assert isinstance(ready, Connection)
                yield _received(ready, processes[ready])
                seed = next(waiting, None)
                if seed is None:
                    ready.close()
                    processes.pop(ready).join()
                else:
                    ready.send(seed)
    finally:
        for process in processes.values():
            process.terminate()
            process.join()


def _received(ready: Connection, process: SpawnProcess) -> World:
    try:
        result = ready.recv()
    except (EOFError, ConnectionError) as error:
        process.join()
        raise SparrowError(
            f"bench: expected every process to finish, one ended with {process.exitcode}; what is finished "
            "is kept, run it again, with fewer workers if memory was short"
        ) from error
    if isinstance(result, World):
        return result
    assert isinstance(result, Exception)
    raise result


def _work(seeds: Connection, order: Order, folder: Path) -> None:
    """Measure the seeds that come, until no more can: in a process of its own."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the first process, which ends this one
    try:
        seed = seeds.recv()
        sparrow, atlas = load(order), load_atlas()
        while True:
            seeds.send(measure(sparrow, order, atlas, seed, folder))
            seed = seeds.recv()
    except (EOFError, ConnectionError):  # there are no more, or nobody waits for them any longer
        return
    except SparrowError as error:
        seeds.send(error)
