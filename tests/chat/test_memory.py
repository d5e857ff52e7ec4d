"""What is kept between turns, and for whom."""

from __future__ import annotations

from sparrow.chat.memory import Kept, Recent
from sparrow.types import History


def test_nothing_is_known_at_first() -> None:
    memory = Recent()
    with memory.turn("a", "video") as held:
        assert (held.key, held.kept) == ("a", None)
    assert memory.find("a") is None


def test_what_was_found_is_known_for_the_same_video_only() -> None:
    memory, history = Recent(), History(next_id=4)
    with memory.turn("a", "video") as held:
        memory.keep(held.key, Kept("video", history))
    with memory.turn("a", "video") as held:
        assert held.kept is not None and held.kept.history is history
    with memory.turn("a", "another") as held:
        assert held.kept is None
    with memory.turn("b", "video") as held:
        assert held.kept is None


def test_a_second_turn_meanwhile_goes_on_beside_the_first() -> None:
    memory, history = Recent(), History(next_id=4)
    memory.keep("a", Kept("video", history))
    with memory.turn("a", "video") as first, memory.turn("a", "video") as second:
        assert first.key == "a" and second.key != "a"
        assert first.kept is second.kept
        memory.keep(second.key, Kept("video", History(next_id=9)))
    assert memory.find("a") is history
    with memory.turn("a", "video") as third:
        assert third.key == "a"


def test_the_oldest_conversation_is_forgotten() -> None:
    memory = Recent(most=2)
    for key in ("a", "b", "c"):
        memory.keep(key, Kept("video", History()))
    assert memory.find("a") is None and memory.find("c") is not None
    memory.keep("b", Kept("video", History()))
    memory.keep("d", Kept("video", History()))
    assert memory.find("c") is None and memory.find("b") is not None


def test_a_turn_that_fails_lets_go() -> None:
    memory = Recent()
    try:
        with memory.turn("a", "video"):
            raise ValueError
    except ValueError:
        with memory.turn("a", "video") as held:
            assert held.key == "a"
