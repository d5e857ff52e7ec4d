"""How long an answer about a video takes: the released loop against a conversation on keys and values.

    python -m benchmarks.generation [--tokens 64] [--official-tokens 3] [--repeats 3] [--threads 1]

Both speak with the same random weights: tiny towers, a Phi-3 of the given size (--hidden 512 --layers 8
--heads 8 is a larger one), 16 frames, a prompt of some 3.4 thousand positions, fp32, greedy. The released
loop has no cache and runs both towers again for every word, which costs the same for each of them: a few
are measured and the rest is extrapolated. Its attention is the plain one, as released. Figures are
medians of CPU seconds; the variants take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from sparrow.model.internvideo import InternVideoConfig
from sparrow.model.kv_cache import WindowCache
from sparrow.model.prefix_chat import speak
from sparrow.model.splice import IMAGE_ID
from sparrow.model.videoglamm import VideoGlamm, VideoGlammConfig

VOCABULARY = 2000
NEVER = VOCABULARY  # an end mark that is not in the vocabulary: answers have the length asked for
TOKENS_PER_FRAME = 144 + 64
FIRST, SECOND = 28, 40  # words of the two questions


@dataclass(frozen=True)
class Video:
    """What the towers are given."""

    context: Tensor
    chunks: Tensor


def build(arguments: argparse.Namespace) -> VideoGlamm:
    torch.manual_seed(0)
    config = VideoGlammConfig(
        video=InternVideoConfig(width=48, depth=4, heads=4, feed_forward=96),
        vocab_size=VOCABULARY,
        hidden_size=arguments.hidden,
        intermediate_size=2 * arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.heads,
        num_key_value_heads=arguments.heads,
        clip_hidden_size=32,
        clip_intermediate_size=64,
        clip_layers=3,
        clip_heads=4,
        frames=arguments.frames,
        seg_id=1,
        box_id=2,
        end_id=NEVER,
        other_end_ids=(),
    )
    return VideoGlamm(config).eval()


def question(number: int, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()


def released_loop(llm: VideoGlamm, video: Video, prompt: list[int]) -> Iterator[int]:
    """Speak as released: for every word the towers, the merge and the whole sequence again."""
    ids = list(prompt)
    while True:
        llm.lm.set_attn_implementation("eager")
        visual = llm.encode_video(video.context, video.chunks)
        embeds = llm.splice(torch.tensor(ids), visual).embeds[None]
        count = embeds.shape[1]
        place = torch.arange(count)
        near = place[None] >= place[:, None] - (llm.config.sliding_window or count)
        seen = near & (place[None] <= place[:, None])
        mask = torch.zeros(1, 1, count, count).masked_fill(~seen, torch.finfo(torch.float32).min)
        output = llm.lm(inputs_embeds=embeds, attention_mask=mask, use_cache=False)
        llm.lm.set_attn_implementation("sdpa")
        ids.append(int(output.logits[0, -1].argmax()))
        yield ids[-1]


def turn(
    llm: VideoGlamm, cache: WindowCache, ids: list[int], video: Video | None, count: int
) -> Iterator[int]:
    """Speak our way, behind what the cache holds; the first turn brings the video."""
    visual = None if video is None else llm.encode_video(video.context, video.chunks)
    yield from speak(llm, llm.splice(torch.tensor(ids), visual).embeds, cache, max_tokens=count)


@dataclass(frozen=True)
class Spoken:
    """Words, and the CPU seconds up to the first and to the last of them."""

    words: list[int]
    first: float
    whole: float


def listen(words: Iterator[int]) -> Spoken:
    begun = time.process_time()
    heard = [next(words)]
    first = time.process_time() - begun
    heard += words
    return Spoken(heard, first, time.process_time() - begun)


def measure(
    llm: VideoGlamm, video: Video, arguments: argparse.Namespace
) -> tuple[Spoken, Spoken, Spoken]:
    """Give some words of the released loop, and our first and second turn."""
    prompt = [3, *[IMAGE_ID] * arguments.frames, *question(1, FIRST)]
    released = released_loop(llm, video, prompt)
    theirs = listen(islice(released, arguments.official_tokens))
    cache, count = llm.new_cache(), arguments.tokens
    first = listen(turn(llm, cache, prompt, video, count))
    second = listen(turn(llm, cache, question(2, SECOND), None, count))
    return theirs, first, second


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, default, told in (
        ("hidden", 64, "width of the language model"),
        ("layers", 2, "of the language model"),
        ("heads", 4, "of the language model"),
        ("frames", 16, "a multiple of 4"),
        ("tokens", 64, "words of an answer"),
        ("official-tokens", 3, "words of the released loop that are measured"),
        ("repeats", 3, "of everything"),
        ("threads", 1, "of the CPU"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=told)
    return parser.parse_args(given)


@torch.inference_mode()
def main(given: Sequence[str] | None = None) -> None:
    arguments = parse(given)
    torch.set_num_threads(arguments.threads)
    llm = build(arguments)
    frames = arguments.frames
    video = Video(torch.randn(frames, 3, 336, 336), torch.randn(frames, 3, 224, 224))
    runs = [measure(llm, video, arguments) for _ in range(arguments.repeats)]
    tokens, measured = arguments.tokens, arguments.official_tokens
    word, start, first, later, second = (
        statistics.median(figures)
        for figures in zip(
            *((r.whole / measured, f.first, f.whole, s.first, s.whole) for r, f, s in runs),
            strict=True,
        )
    )
    same = all(ours.words[:measured] == theirs.words for theirs, ours, _ in runs)
    print(
        f"{frames} frames, prompt of {1 + frames * TOKENS_PER_FRAME + FIRST} positions, {tokens} new "
        f"words, fp32, {arguments.threads} thread(s), CPU seconds, median of {arguments.repeats}"
    )
    print(f"released loop, a word         {word:8.2f}")
    print(
        f"released loop, answer         {word * tokens:8.2f}  (from {measured} words; the cost is constant)"
    )
    print(f"sparrow, first turn           {first:8.2f}  (its first word {start:.2f})")
    print(
        f"sparrow, second turn          {second:8.2f}  (its first word {later:.2f}, {SECOND} words asked)"
    )
    print(f"released loop / sparrow, first turn: {word * tokens / first:.1f}")
    print(
        f"first turn / second turn: {first / second:.1f}, up to the first word {start / later:.1f}"
    )
    print(f"same words: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
