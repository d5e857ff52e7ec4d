"""Loads a released SPARROW: finds its stores, checks that all their weights fit, and reads them file by file.

What a name means is release/names.py's, which sizes follow is release/sizes.py's. Paths that a release
stores in its config.json are its authors' own and are never followed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from sparrow.errors import ModelError
from sparrow.model.checkpoint import CONFIG, assign, refuse
from sparrow.model.config import CardConfig, SparrowConfig
from sparrow.model.empty import build_empty
from sparrow.model.release.names import (
    Naming,
    StoreName,
    is_unmerged,
    name_store,
    released_name,
    supplier,
)
from sparrow.model.release.needs import Counts, Needs, needs_of
from sparrow.model.release.places import Place, fetch, locate
from sparrow.model.release.quantise import Bits, quantise_linears, require
from sparrow.model.release.sizes import Shapes, sizes_of
from sparrow.model.release.words import read_tokenizer, words_of
from sparrow.model.sparrow import SparrowModel
from sparrow.model.videoglamm import VideoGlammConfig
from sparrow.model.weight_files import Stub, read_json, read_stubs, read_tensors

PROPOSER = "RISys-Lab/sparrow-det-pretrain"
TOWERS: dict[StoreName, str] = {
    "video_tower": ("OpenGVLab/InternVideo2-Stage2_1B-224p-f4/InternVideo2-stage2_1b-224p-f4.pt"),
    "image_tower": "openai/clip-vit-large-patch14-336",
}
"""Where the towers are published; a release names its authors' copies."""
_log = logging.getLogger(__name__)
_MODEL_TYPE = "VideoGPT+"
_EMBEDDINGS = ("video_llm.lm.model.embed_tokens.weight", "video_llm.lm.lm_head.weight")
_QUERIES = "proposer.detr.query_position_embeddings.weight"
_HALVED = "video_llm."  # what takes the asked dtype; the rest, a tenth of all, stays in float32


@dataclass(frozen=True)
class Store:
    """One released store, its files here and its names known."""

    name: StoreName
    place: Place
    folder: Path
    stubs: dict[str, Stub]
    """By released name."""
    naming: Naming


@dataclass(frozen=True)
class Release:
    """All stores of a released model, checked: every weight is there once and fits."""

    config: SparrowConfig
    tokenizer: PreTrainedTokenizerBase
    stores: tuple[Store, ...]
    chosen: dict[str, tuple[StoreName, str]]
    """Our name to the store and released name that it is read from."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the language model is stored in."""
        store, name = self.chosen[_EMBEDDINGS[0]]
        return next(s for s in self.stores if s.name == store).stubs[name].dtype

    @property
    def llm(self) -> VideoGlammConfig:
        """The configuration of its VideoLLM."""
        assert isinstance(self.config.llm, VideoGlammConfig)
        return self.config.llm

    def sources(self) -> dict[str, str]:
        """Name the stores' places, for a model card; folders by their last part only."""
        return {
            store.name.replace("_", " "): " at ".join(
                filter(None, (_said_place(store), store.place.revision))
            )
            for store in self.stores
        }

    def stored_bytes(self, dtype: torch.dtype | None = None) -> int:
        """Give the bytes of all `weights` of this dtype."""
        stubs = {store.name: store.stubs for store in self.stores}
        counts = Counts.of({our: stubs[s][name].numel for our, (s, name) in self.chosen.items()})
        return counts.bytes(dtype or self.dtype)

    def empty_model(self) -> SparrowModel:
        """Build the model without weights."""
        return build_empty(lambda: SparrowModel(self.config, self.tokenizer))

    def weights(self, dtype: torch.dtype | None = None) -> Iterator[tuple[str, Tensor]]:
        """Read all weights under our names, one after the other; each is a copy of its own.

        Args:
            dtype: of the VideoLLM; None: as stored. The other parts come in float32.

        Raises:
            ModelError: a file has changed or cannot be read.
        """
        wanted = dtype or self.dtype
        rows = _rows(self)
        for store in self.stores:
            ours = {theirs: our for our, (s, theirs) in self.chosen.items() if s == store.name}
            for file in store.place.files:
                for name, value in read_tensors(store.folder / file):
                    if (our := ours.get(name)) is None:
                        continue
                    value = value[: rows[our]] if our in rows else value
                    kind = wanted if our.startswith(_HALVED) else torch.float32
                    kind = kind if value.is_floating_point() else value.dtype
                    yield our, value.to(kind, copy=True).contiguous()


def named_dtype(name: str) -> torch.dtype:
    """Give the dtype called "float16", "bfloat16" or "float32".

    Raises:
        ModelError: another name.
    """
    known = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
    if name not in known:
        raise ModelError(f"dtype: expected one of {', '.join(known)}, got {name!r}")
    return known[name]


def is_release(name: str | Path, *, token: str | None = None) -> bool:
    """Tell a released main store, local or on the hub, from a model folder of ours.

    Only its config.json is looked at (and downloaded). What cannot be reached is no release.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        owner, _, rest = str(name).partition("/")
        repo, _, inside = rest.partition("/")
        try:
            config = hf_hub_download(
                f"{owner}/{repo}", CONFIG, subfolder=inside or None, token=token
            )
        except (OSError, HFValidationError):
            return False
        folder = Path(config).parent
    return read_json(folder, CONFIG).get("model_type") == _MODEL_TYPE


def load_release(
    main: str | Path,
    *,
    proposer: str | Path = PROPOSER,
    video_tower: str | Path | None = None,
    image_tower: str | Path | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    quantise: Bits | None = None,
    token: str | None = None,
) -> SparrowModel:
    """Load a released model. Memory holds the model once, and one tensor more.

    Args:
        main: folder or hub id of the store with the language model.
        proposer: folder or hub id of the detector; a folder inside a hub repository may follow the id.
        video_tower: InternVideo2's file; None takes the main store's, or else the published one.
        image_tower: CLIP's folder, likewise.
        dtype: of the VideoLLM; None: as stored. The other parts are float32.
        device: where the model goes.
        quantise: for the language model's layers; needs bitsandbytes.
        token: for the hub; None takes the login of this machine.

    Raises:
        ModelError: something is absent, does not fit, or needs more disk than there is.
    """
    if quantise is not None:
        require(quantise)
    release = open_release(
        main, proposer=proposer, video_tower=video_tower, image_tower=image_tower, token=token
    )
    model, target = release.empty_model(), torch.device(device)
    for name, value in release.weights(dtype):
        waits = quantise is not None and name.startswith("video_llm.lm.model.layers.")
        assign(model, name, value if waits else value.to(target))
    if quantise is not None:
        quantise_linears(model.video_llm.get_submodule("lm.model.layers"), quantise, target)
    return model.to(target)


def needs(
    main: str | Path,
    *,
    proposer: str | Path = PROPOSER,
    video_tower: str | Path | None = None,
    image_tower: str | Path | None = None,
    dtype: torch.dtype = torch.float16,
    quantise: Bits | None = None,
    token: str | None = None,
) -> Needs:
    """Say what loading would download and hold, without downloading; arguments as for `load_release`.

    Raises:
        ModelError: a store cannot be found.
    """
    places = _locate(main, proposer, video_tower, image_tower, token)
    return needs_of(places, _counts(places), dtype, quantise)


def open_release(
    main: str | Path,
    *,
    proposer: str | Path = PROPOSER,
    video_tower: str | Path | None = None,
    image_tower: str | Path | None = None,
    token: str | None = None,
) -> Release:
    """Download what is not here, and check a release without reading its weights; see `load_release`.

    Raises:
        ModelError: names every missing, unexpected and mis-shaped weight of all stores (the first of
            each kind), or what else is wrong.
    """
    places = _locate(main, proposer, video_tower, image_tower, token)
    needed = needs_of(places, _counts(places), torch.float16, None)
    needed.check()
    _log.log(logging.WARNING if needed.download else logging.INFO, needed.describe())
    stores = [_open("main", fetch(places.pop("main"), token=token))]
    for name, place in places.items():
        explicit = {"video_tower": video_tower, "image_tower": image_tower}.get(name, place)
        if explicit is None and _holds(stores[0].naming, name):
            continue  # a hub's main store turned out to hold this tower
        stores.append(_open(name, fetch(place, token=token)))
    tokenizer = read_tokenizer(stores[0].folder)
    chosen = {ours: (s.name, theirs) for s in stores for theirs, ours in s.naming.used.items()}
    stubs = {s.name: s.stubs for s in stores}
    shapes = {ours: stubs[store][theirs].shape for ours, (store, theirs) in chosen.items()}
    config = sizes_of(
        Shapes(shapes),
        {s.name: read_json(s.folder, CONFIG) for s in stores},
        words_of(tokenizer, stores[0].folder),
        _card(stores),
    )
    release = Release(config, tokenizer, tuple(stores), chosen)
    _check(release, shapes)
    return release


def _locate(
    main: str | Path,
    proposer: str | Path,
    video_tower: str | Path | None,
    image_tower: str | Path | None,
    token: str | None,
) -> dict[StoreName, Place]:
    """Find the stores; towers that a main store on this machine holds are left out."""
    found: dict[StoreName, Place] = {"main": locate(main, token=token)}
    naming = None if found["main"].folder is None else _naming("main", found["main"])
    found["proposer"] = locate(proposer, token=token)
    given: dict[StoreName, str | Path | None] = {
        "video_tower": video_tower,
        "image_tower": image_tower,
    }
    for name, place in given.items():
        if place is not None:
            found[name] = locate(place, token=token)
        elif naming is None or not _holds(naming, name):
            found[name] = locate(TOWERS[name], token=token)
    return found


def _stubs(place: Place) -> dict[str, Stub]:
    assert place.folder is not None
    found: dict[str, Stub] = {}
    for file in place.files:
        found.update(read_stubs(place.folder / file))
    return found


def _naming(name: StoreName, place: Place) -> Naming:
    return name_store(name, _stubs(place))


def _holds(naming: Naming, tower: StoreName) -> bool:
    return any(supplier(ours) == tower for ours in naming.used.values())


def _open(name: StoreName, place: Place) -> Store:
    assert place.folder is not None
    stubs = _stubs(place)
    if is_unmerged(stubs):
        raise ModelError(
            f"{place.name}: a training checkpoint, its LoRA weights are not merged; expected a release"
        )
    return Store(name, place, place.folder, stubs, name_store(name, stubs))


def _counts(places: dict[StoreName, Place]) -> Counts | None:
    """Count the weights that are used of stores that are all on this machine."""
    if any(place.folder is None for place in places.values()):
        return None
    counts = {}
    for name, place in places.items():
        stubs = _stubs(place)
        for theirs, ours in name_store(name, stubs).used.items():
            counts[ours] = stubs[theirs].numel
    return Counts.of(counts)


def _rows(release: Release) -> dict[str, int]:
    """Give the tables of which only the first rows are used: words and queries beyond do not exist."""
    words = dict.fromkeys(_EMBEDDINGS, release.llm.vocab_size)
    return {**words, _QUERIES: release.config.proposer.queries}


def _check(release: Release, shapes: dict[str, tuple[int, ...]]) -> None:
    rows = _rows(release)
    own = {name: tuple(value.shape) for name, value in release.empty_model().state_dict().items()}
    fit = {
        name: (min(shape[0], rows[name]), *shape[1:]) if name in rows and shape else shape
        for name, shape in shapes.items()
    }
    stores = {store.name for store in release.stores}

    def told(ours: str) -> str:
        store = supplier(ours) if supplier(ours) in stores else "main"
        store, name = release.chosen.get(ours, (store, released_name(ours, store)))
        return f"{store}: {name}"

    unknown = [f"{store.name}: {name}" for store in release.stores for name in store.naming.unknown]
    unknown += [told(name) for name in set(fit) - set(own)]
    problems = {
        "missing": sorted(told(name) for name in set(own) - set(fit)),
        "unexpected": sorted(unknown),
        "of another shape": sorted(
            f"{told(name)} {shapes[name]} for {own[name]}"
            for name in set(own) & set(fit)
            if own[name] != fit[name]
        ),
    }
    refuse(problems, "the released weights do not fit together")


def _card(stores: list[Store]) -> CardConfig:
    names = [_said_place(store) for store in stores]
    return CardConfig(
        name="SPARROW",
        trained_on=f"Released weights: {', '.join(names)}.",
        limits="Boxes are looked for in few frames of a clip; its words and masks can be wrong.",
    )


def _said_place(store: Store) -> str:
    """Name a store without telling where on this machine it lies."""
    place = store.place
    return place.name if place.repo else Path(place.name).name
