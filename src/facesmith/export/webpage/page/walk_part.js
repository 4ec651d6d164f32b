// An endless walk: from kept face to kept face, or from seed to seed.

import { heading, slider } from './controls.js';
import { button, h } from './dom.js';
import { change, labelOf, navigate, onChange, state } from './page_state.js';
import { commandButton, conditionSwitches, varietySlider } from './page_widgets.js';
import { commandOfWalk, drawPicture, pictureOfWalk } from './pictures.js';
import { openProjector } from './projector.js';
import { faceAt, runWalk, SECONDS_PER_FACE, walkFaces } from './walk_frames.js';

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

export function walkPart() {
  const canvas = h('canvas', { role: 'img', 'aria-label': 'An endless walk through faces', width: 1, height: 1, class: 'drawn' });
  const between = h('p', { class: 'small soft between' }, '');
  const play = button('Pause', () => setPlaying(!stop), { class: 'main' });
  const speed = slider('Speed', { min: 0.1, max: 4, step: 0.1, value: state.speed, format: (value) => `${value.toFixed(1)}×`, oninput: (value) => change({ speed: value }) });
  const [copyButton, noCommand] = commandButton(() => commandOfWalk(walkFaces()), 'There is no command for this walk: facesmith walks from seed to seed, without edits.');
  const element = h('section', { class: 'part walk', 'aria-label': 'Walk' },
    heading('Walk from face to face', 'Through the kept faces, if there are two or more; otherwise from seed to seed.'),
    h('div', { class: 'bar' }, play, speed.element, varietySlider(), button('Other faces', () => navigate({ first: Math.floor(Math.random() * 1_000_000) })),
      button('Full screen', () => { const wasPlaying = Boolean(stop); setPlaying(false); openProjector(() => setPlaying(wasPlaying)); }, { title: 'For a projector. Microphone and MIDI can play it' }), copyButton), noCommand,
    conditionSwitches(), h('span', { class: 'face walker' }, canvas), between);
  let stop = null; // ends the walk that plays
  let [place, t] = [0, 0];

  function position(seconds) {
    t += (seconds * state.speed) / SECONDS_PER_FACE;
    while (t >= 1) { t -= 1; place += 1; }
    const [from, to] = [faceAt(place), faceAt(place + 1)];
    between.textContent = `From ${labelOf(from)} to ${labelOf(to)}`;
    return { from, to, t };
  }
  function show({ pixels, side }) {
    if (canvas.width !== side) canvas.width = canvas.height = side;
    canvas.getContext('2d').putImageData(new ImageData(pixels, side), 0, 0);
  }
  function setPlaying(on) {
    stop?.();
    stop = on && state.part === 'walk' ? runWalk(position, show) : null;
    play.textContent = stop ? 'Pause' : 'Play';
  }
  async function showStill() { show(await drawPicture(pictureOfWalk(...Object.values(position(0))))); }

  onChange((names) => {
    if (names.includes('speed')) speed.set(state.speed);
    if (names.some((name) => ['first', 'kept'].includes(name))) [place, t] = [0, 0];
    if (state.part === 'walk' && !stop && names.some((name) => ['psi', 'first', 'condition', 'kept'].includes(name))) showStill();
  });
  return {
    element, hint: 'Tap a face to start there.',
    onKept(face) { [place, t] = [Math.max(0, state.kept.indexOf(face)), 0]; if (!stop) showStill(); },
    enter() { if (reducedMotion.matches) { setPlaying(false); showStill(); } else setPlaying(true); },
    leave() { setPlaying(false); },
  };
}
