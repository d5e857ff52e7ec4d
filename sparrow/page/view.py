"""A session -> what the page shows of it, as plain values. Knows no component: redraw.py carries them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparrow.page import correcting
from sparrow.page.blurring import may_show
from sparrow.page.chat import Chip, chat_value
from sparrow.page.downloads import downloads_value
from sparrow.page.header import card_html
from sparrow.page.inert import inert
from sparrow.page.stage import Can, StageObject, stage_value
from sparrow.page.suggesting import suggestions
from sparrow.page.transcript import Scene, messages, step_words
from sparrow.page.visit import Visit
from sparrow.sessions.session import Session
from sparrow.sessions.transcript import clock
from sparrow.types import Progress
from sparrow.video import Video

_ON_STAGE = '<i class="on-stage"></i>'
"""By this page.css knows that there is something to see."""

_GET = '<button type="button" class="get">Download</button>'
"""Leads to the downloads: page.js."""


@dataclass(frozen=True)
class View:
    """Everything of the page that changes; compared field by field to send only what is new."""

    status: str
    """HTML, as are `about` and `card`."""
    about: str
    card: str
    stage: dict[str, object]
    chat: dict[str, object]
    downloads: dict[str, object]
    model: str
    ready: bool
    """There is a video."""
    busy: bool
    choosing: bool
    """The chooser of videos is open."""


def view(
    session: Session, visit: Visit, card: Mapping[str, object], *, model: str, pace: float = 0.0
) -> View:
    """Describe what the page of a session shows.

    Args:
        session: what is saved.
        visit: what is not.
        card: of the model.
        model: its name.
        pace: seconds that the work of a visitor takes, for who waits; 0 = unknown.
    """
    scene = _scene(session, visit)
    asking = bool(session.exchanges) and session.exchanges[-1].state == "working"
    return View(
        status=_status(session, pace, asking=asking),
        about=_about(session),
        card=card_html(card),
        stage=_stage(session, visit, scene, learns=bool(card.get("learns"))),
        chat=_chat(session, visit, scene, card, pace),
        downloads=downloads_value(
            ready=session.video is not None,
            found=bool(session.history.tracks),
            busy=session.busy,
            file=visit.download,
            blurs=session.look.mode == "blur-object",
            may_show=_may_show(session, scene),
        ),
        model=model,
        ready=session.video is not None,
        busy=session.busy,
        choosing=visit.choosing or session.video is None,
    )


def notice_html(notice: str, *, failed: bool) -> str:
    """Write the status line while nothing is being done; an error is announced to screen readers."""
    kind, role = ("error", "alert") if failed else ("idle", "status")
    return f'<div class="status {kind}" role="{role}">{inert(notice)}</div>'


def _scene(session: Session, visit: Visit) -> Scene:
    referents = {referent.id: referent for referent in session.referents()}
    tracks = dict(session.history.tracks)
    if visit.growing is not None:
        for referent, track in zip(visit.growing.referents, visit.growing.tracks, strict=True):
            referents.setdefault(referent.id, referent)
            tracks[referent.id] = track
    return Scene(session.video, referents, tracks)


def _status(session: Session, pace: float, *, asking: bool) -> str:
    if not session.busy:
        return notice_html(session.notice, failed=session.failed)
    error = notice_html(session.notice, failed=True) if session.failed else ""
    if asking:  # the chat shows how it goes on
        return error or notice_html("", failed=False)
    return error + _working(session.status or Progress("starting"), pace)


def _working(progress: Progress, pace: float) -> str:
    words = inert(step_words(progress, pace=pace))
    bar = "<progress></progress>"
    if progress.total and progress.step != "wait":
        bar = f'<progress value="{progress.done}" max="{progress.total}"></progress>'
    return (
        f'<div class="status work" role="status">{words} '
        f'<small data-seconds="{progress.seconds:.1f}">{progress.seconds:.1f} s</small> {bar}</div>'
    )


def _about(session: Session) -> str:
    video = session.video
    if video is None:
        return _ON_STAGE if session.busy else ""
    height, width = video.size_hw
    sound = "with sound" if video.has_audio else "no sound"
    facts = f"{video.duration:.1f} s · {width} × {height} · {video.num_frames} frames · {video.fps:.4g} fps · {sound}"
    notes = "".join(f"<br>{inert(note)}" for note in video.notes)
    words = f"<p><b>{inert(session.title)}</b> <span>{inert(facts)}{notes}</span></p>"
    get = _GET if session.history.tracks else ""
    return f'{_ON_STAGE}<div class="about">{words}{get}</div>'


def _stage(session: Session, visit: Visit, scene: Scene, *, learns: bool) -> dict[str, object]:
    draft, answers = visit.draft, [e.answer for e in session.exchanges if e.answer is not None]
    things = []
    for i in sorted(scene.tracks):
        path, version = visit.masks.of(session, scene.tracks[i])
        things.append(
            StageObject(
                i,
                scene.name(i),
                scene.colour(i),
                i not in session.hidden,
                scene.tracks[i],
                path,
                version,
            )
        )
    visit.masks.keep_only(session, set(scene.tracks))
    preview = None
    if draft is not None and draft.preview is not None:
        preview = (draft.frame, draft.preview)
    return stage_value(
        session.video,
        notice=_stage_notice(session),
        objects=things,
        looked_at=answers[-1].frames if answers else (),
        prompts=session.prompts,
        drafted=() if draft is None else draft.prompts,
        span=session.span,
        preview=preview,
        selected=visit.selected,
        seek=visit.seek,
        look=session.look,
        can=Can(
            undo=draft is not None or bool(session.undo_stack),
            redo=bool(session.redo_stack),
            apply=draft is not None,
            # Prepared questions come with the clips that ship; these the model has learnt already.
            learn=learns and not session.suggestions,
            busy=session.busy,
        ),
        learn_seconds=correcting.LEARN_SECONDS,
    )


def _may_show(session: Session, scene: Scene) -> list[dict[str, object]]:
    """Say where the things that the look blurs may show."""
    if session.video is None or session.look.mode != "blur-object":
        return []
    told = (
        may_show(scene.tracks[i], scene.name(i), session.video, session.span)
        for i in sorted(scene.tracks)
        if i not in session.hidden
    )
    return [one for one in told if one is not None]


def _stage_notice(session: Session) -> str:
    return "Getting the video ready …" if session.busy and session.video is None else ""


def _chat(
    session: Session, visit: Visit, scene: Scene, card: Mapping[str, object], pace: float
) -> dict[str, object]:
    chips = _chips(session, visit, scene)
    return chat_value(
        messages(session.exchanges, scene, list(visit.steps.values()), pace=pace),
        suggestions=suggestions(
            card,
            session.suggestions,
            session.exchanges,
            session.history.referents,
            pointed=any(chip.on for chip in chips),
        )
        if session.video is not None
        else (),
        chips=chips,
        ready=session.video is not None,
        busy=session.busy,
    )


def _chips(session: Session, visit: Visit, scene: Scene) -> list[Chip]:
    """List what goes along with the next question, and what is at hand for it."""
    draft, video, selected = visit.draft, session.video, visit.selected
    on = [i for i in session.attached if i in scene.tracks]
    chips = [Chip(i, scene.name(i), scene.colour(i)) for i in on]
    if draft is not None and video is not None and draft.referent_id not in on:
        i = draft.referent_id
        name = scene.name(i) if i in scene.tracks else "this"
        chips.append(Chip(i, name, scene.colour(i), _moment(draft.frame, video), draft.attached))
    elif selected is not None and selected in scene.tracks and selected not in on:
        chips.append(Chip(selected, scene.name(selected), scene.colour(selected), on=False))
    return chips


def _moment(frame: int, video: Video) -> str:
    return f"at {clock(float(video.timestamps[frame]))}"
