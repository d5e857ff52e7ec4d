"""Who gets the accelerator and when: events and counts, no clocks."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import pytest

from sparrow.errors import Busy
from sparrow.lane import Lane
from sparrow.types import Progress


def work(
    name: str, steps: int, log: list[str], cancel: threading.Event | None = None
) -> Generator[str, None, None]:
    """Some steps, each written down; ends at once when told to."""
    for number in range(steps):
        if cancel is not None and cancel.is_set():
            return
        log.append(name)
        yield f"{name}{number}"


def waits(events: list[object]) -> list[tuple[int, int]]:
    """The places in the line that were told, one after the other."""
    told = [(event.done, event.total) for event in events if isinstance(event, Progress)]
    return [place for n, place in enumerate(told) if n == 0 or place != told[n - 1]]


class Thread(threading.Thread):
    """Runs work in a lane to its end; tells when it waits, and keeps its events."""

    def __init__(
        self, lane: Lane, key: str, task: Generator[str, None, None], **more: object
    ) -> None:
        super().__init__(daemon=True)
        self.lane, self.key, self.task, self.more = lane, key, task, more
        self.events: list[object] = []
        self.error: Exception | None = None
        self.waits = threading.Event()

    def run(self) -> None:
        try:
            for event in self.lane.run(self.key, self.task, **self.more):
                self.events.append(event)
                if isinstance(event, Progress):
                    self.waits.set()
        except Exception as error:
            self.error = error

    def end(self) -> list[object]:
        self.join(30)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self.events


def occupy(lane: Lane, key: str) -> Iterator[object]:
    """Be inside, in the middle of work."""
    inside = lane.run(key, work(key, 10**6, []))
    next(inside)
    return inside


def queue(lane: Lane, key: str, log: list[str], steps: int = 1, **more: object) -> Thread:
    """Wait in line; returns once the place in it was told."""
    thread = Thread(lane, key, work(key, steps, log, **more), **more)
    thread.start()
    assert thread.waits.wait(30)
    return thread


def test_an_empty_lane_lets_in_at_once() -> None:
    log: list[str] = []
    assert list(Lane().run("a", work("a", 3, log))) == ["a0", "a1", "a2"]
    assert list(Lane().run("a", work("a", 0, log))) == []
    assert log == ["a"] * 3


def test_those_inside_take_turns_step_by_step() -> None:
    lane, log = Lane(inside=2), []
    first, second = (lane.run(key, work(key, 3, log)) for key in "ab")
    for _ in range(3):
        next(first)
        next(second)
    assert log == ["a", "b"] * 3
    assert list(first) == list(second) == []


def test_only_one_step_is_made_at_a_time() -> None:
    lane, at_once, most = Lane(inside=4), [0], [0]
    guard = threading.Lock()

    def counted() -> Generator[str, None, None]:
        for _ in range(50):
            with guard:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            threading.Event().wait(0.0002)
            with guard:
                at_once[0] -= 1
            yield ""

    threads = [Thread(lane, str(n), counted()) for n in range(4)]
    for thread in threads:
        thread.start()
    assert all(len(thread.end()) == 50 for thread in threads)
    assert most == [1]


def test_who_looks_at_an_event_does_not_hold_the_lane() -> None:
    lane = Lane(inside=2)
    dawdling = occupy(lane, "a")
    assert list(lane.run("b", work("b", 5, []))) == [f"b{n}" for n in range(5)]
    with lane.step():
        pass
    dawdling.close()


def test_places_in_the_line_are_told_and_change() -> None:
    lane, log = Lane(inside=1), []
    inside = occupy(lane, "x")
    first = queue(lane, "a", log)
    second = queue(lane, "b", log)
    third = queue(lane, "c", log)
    assert lane.waiting == 3
    inside.close()
    for thread in (first, second, third):
        thread.end()
    assert waits(first.events) == [(0, 1)]
    assert waits(second.events)[0] == (1, 2)
    assert waits(third.events)[0] == (2, 3)
    assert [ahead for ahead, _ in waits(third.events)] == sorted(
        {ahead for ahead, _ in waits(third.events)}, reverse=True
    )
    assert log == ["a", "b", "c"]
    assert lane.waiting == 0


def test_one_who_asks_for_much_does_not_keep_the_others_waiting() -> None:
    lane, log = Lane(inside=1), []
    inside = occupy(lane, "x")
    flood = [queue(lane, "flood", log) for _ in range(4)]
    others = [queue(lane, key, log) for key in ("b", "c")]
    inside.close()
    for thread in (*flood, *others):
        thread.end()
    assert log == ["flood", "b", "c", "flood", "flood", "flood"]


def test_keys_that_have_someone_inside_come_later() -> None:
    lane, log = Lane(inside=2), []
    stays, goes = occupy(lane, "flood"), occupy(lane, "x")
    threads = [queue(lane, "flood", log), queue(lane, "b", log)]
    goes.close()
    for thread in threads:
        thread.end()
    assert log == ["b", "flood"]
    stays.close()


def test_a_full_line_says_so_and_lets_in_again_later() -> None:
    lane, log = Lane(inside=1, waiting=2), []
    inside = occupy(lane, "x")
    threads = [queue(lane, key, log) for key in "ab"]
    with pytest.raises(Busy, match="2 are waiting already, and no more can; try again"):
        next(lane.run("c", work("c", 1, log)))
    inside.close()
    for thread in threads:
        thread.end()
    assert list(lane.run("c", work("c", 1, log))) == ["c0"]


@pytest.mark.parametrize("place", [0, 1])
def test_stop_while_waiting_does_the_work_at_once_and_frees_the_place(place: int) -> None:
    lane, log, cancel = Lane(inside=1, waiting=2), [], threading.Event()
    inside = occupy(lane, "x")
    threads = []
    for number in range(2):
        more = {"cancel": cancel} if number == place else {}
        threads.append(queue(lane, "ab"[number], log, **more))
    cancel.set()
    stopped = threads.pop(place)
    assert all(isinstance(event, Progress) for event in stopped.end())
    assert log == [] and lane.waiting == 1
    threads.append(queue(lane, "c", log))  # its place in the line can be had again
    inside.close()
    for thread in threads:
        thread.end()
    assert sorted(log) == sorted([*"ab".replace("ab"[place], ""), "c"])


def test_a_listener_that_left_while_waiting_frees_the_place() -> None:
    lane, log = Lane(inside=1, waiting=1), []
    inside = occupy(lane, "x")
    left = lane.run("a", work("a", 1, log))
    assert isinstance(next(left), Progress)
    left.close()
    assert lane.waiting == 0 and log == []
    inside.close()
    assert list(lane.run("b", work("b", 1, log))) == ["b0"]


def test_work_that_breaks_frees_its_place() -> None:
    lane = Lane(inside=1)

    def broken() -> Generator[str, None, None]:
        yield "fine"
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        list(lane.run("a", broken()))
    assert list(lane.run("a", work("a", 1, []))) == ["a0"]


def test_work_is_closed_with_its_listener() -> None:
    closed = []

    def open_work() -> Generator[str, None, None]:
        try:
            yield "one"
        finally:
            closed.append(True)

    listener = Lane().run("a", open_work())
    next(listener)
    listener.close()
    assert closed == [True]


def test_many_at_once_all_come_to_their_end() -> None:
    lane, log = Lane(inside=3, waiting=60), []
    threads = [Thread(lane, f"key {n % 7}", work(str(n), 5, log)) for n in range(40)]
    for thread in threads:
        thread.start()
    for number, thread in enumerate(threads):
        said = [event for event in thread.end() if isinstance(event, str)]
        assert said == [f"{number}{step}" for step in range(5)]
    assert len(log) == 200 and lane.waiting == 0
