// Below the picture: play, step, where we are, speed, loop, sound.

const SPEEDS = [0.25, 0.5, 1, 1.5, 2];

function makeTransport(stage) {
  const { player } = stage;
  const play = iconButton("play", "Play", "Space", () => player.toggle());
  play.classList.add("play");
  const buttons = [
    iconButton("first", "First frame", "Home", () => stage.seek(stage.state.span[0])),
    iconButton("back", "One frame back", "←", () => player.step(-1)),
    play,
    iconButton("forward", "One frame on", "→", () => player.step(1)),
    iconButton("last", "Last frame", "End", () => stage.seek(stage.state.span[1] - 1)),
  ];
  const now = make("b");
  const length = make("span", { class: "quiet roomy" });
  const time = make("span", { class: "time" }, now, length);
  const goTo = () => {
    player.pause();
    if (frame.value !== "") stage.seek(Number(frame.value));
  };
  const frame = make("input", {
    type: "number",
    class: "frame-number",
    min: 0,
    "aria-label": "Frame, counted from 0",
    title: "Frame, counted from 0: type one to go there",
    change: goTo,
    keydown: (event) => event.key === "Enter" && frame.blur(), // so that keys mean the stage again
  });
  const total = make("span", { class: "quiet" });
  const speed = make(
    "select",
    {
      "aria-label": "Speed",
      title: "Speed (, slower · . faster)",
      change: () => stage.setSpeed(Number(speed.value)),
    },
    ...SPEEDS.map((rate) => make("option", { value: rate, selected: rate === 1 }, `${rate}×`)),
  );
  const loop = iconButton("loop", "Repeat", "L", () => stage.setLoop(!player.loop));
  const sound = iconButton("sound", "Sound", "U", () => stage.toggleSound());
  const element = make(
    "div",
    { class: "transport", role: "group", "aria-label": "Player" },
    make("div", { class: "group" }, ...buttons),
    make("div", { class: "where" }, time, make("label", { class: "counter" }, "frame", frame, total)),
    make("div", { class: "group end" }, sound, loop, speed),
  );

  const updateFrame = () => {
    now.textContent = clockTime(player.wanted / player.fps);
    if (document.activeElement !== frame) frame.value = player.wanted;
  };

  const update = () => {
    const { video } = stage.state;
    length.textContent = ` / ${clockTime(video.frames / video.fps)}`;
    frame.max = video.frames - 1;
    total.textContent = `of ${video.frames}`;
    relabel(play, player.playing ? "pause" : "play", player.playing ? "Pause" : "Play", "Space");
    loop.setAttribute("aria-pressed", player.loop);
    sound.hidden = !video.sound;
    const muted = player.video.muted;
    relabel(sound, muted ? "silent" : "sound", muted ? "Sound on" : "Sound off", "U");
    speed.value = player.video.playbackRate;
    updateFrame();
  };

  return { element, update, updateFrame };
}
