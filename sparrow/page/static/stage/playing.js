// What is played and how: frame, range, speed, sound, fullscreen.

function addPlaying(stage, send) {
  const { state, player } = stage;

  /** Stop at exactly this frame. */
  stage.hold = (frame) => {
    player.pause();
    if (frame >= 0 && player.wanted !== frame) player.seek(frame);
  };

  stage.setSpan = (start, stop, tell = true) => {
    const { frames } = state.video;
    state.span = [Math.max(0, start), Math.min(stop, frames)];
    player.span = state.span;
    if (tell) send("trim", { start: state.span[0], stop: state.span[1] });
    stage.changed();
  };

  stage.trimHere = (end) => {
    const [start, stop] = state.span;
    const here = player.wanted;
    if (end === "start") stage.setSpan(here, stop > here ? stop : state.video.frames);
    else stage.setSpan(start <= here ? start : 0, here + 1);
  };

  stage.seek = (frame) => player.seek(frame);

  stage.setSpeed = (rate) => {
    player.video.playbackRate = rate;
    stage.changed();
  };

  stage.changeSpeed = (by) => {
    const at = SPEEDS.indexOf(player.video.playbackRate) + by;
    if (SPEEDS[at]) stage.setSpeed(SPEEDS[at]);
    stage.say(`Speed ${player.video.playbackRate}`);
  };

  stage.setLoop = (on) => {
    player.loop = on;
    stage.changed();
  };

  stage.toggleSound = () => {
    player.video.muted = !player.video.muted;
    stage.changed();
  };

  stage.toggleFullscreen = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else stage.root.requestFullscreen?.();
  };
}
