// A film from kept face to kept face.

import { ask, askJson, copy, h, Picture, say } from './dom.js';
import { download, head, show, slider, variety } from './parts.js';
import { apiUrl, change, labelOf, onChange, state } from './state.js';

const MOST = 24;
const FPS = 25;

export function walk() {
  const stops = h('ol', { class: 'stops', 'aria-label': 'Faces on the way' });
  const video = h('video', { loop: true, muted: true, autoplay: true, playsInline: true, controls: true, hidden: true, 'aria-label': 'The walk through these faces' });
  const words = h('p', {});
  const film = h('div', { class: 'film' }, video, words);
  const closed = h('input', { type: 'checkbox', checked: state.closed, onchange: () => change({ closed: closed.checked }) });
  const seconds = slider('Seconds from face to face', { min: 0.5, max: 5, step: 0.5, value: state.seconds, format: (each) => each.toFixed(1), onchange: (each) => change({ seconds: each }) });
  const buttons = ['mp4', 'gif'].map((kind) => h('button', { type: 'button', onclick: () => get(kind) }, `Download ${kind.toUpperCase()}`));
  const command = h('button', { type: 'button', onclick: again }, 'Copy command');
  const all = h('button', { type: 'button', onclick: () => change({ stops: state.kept.slice(0, MOST) }) }, 'Take all kept faces');
  const clear = h('button', { type: 'button', class: 'plain', onclick: () => change({ stops: [] }) }, 'Start over');
  const element = h('section', { class: 'part', 'aria-label': 'Walk' },
    head('Walk from face to face', 'Every picture on the way is a face of its own. Put kept faces in order; the film plays as a loop.'),
    h('div', { class: 'desk' }, h('div', { class: 'panel' }, h('div', { class: 'row' }, all, clear), stops,
      h('div', { class: 'bar' }, seconds.element, variety(), h('label', { class: 'check small' }, closed, 'Return to the first face'))),
    h('div', { class: 'stick' }, film, h('div', { class: 'row' }, buttons, command))));
  const pictures = [];
  let controller;
  let shown = '';
  let timer;

  const url = (kind, scale) => apiUrl(`walk.${kind}`, { ...(scale ? { scale } : {}), faces: state.stops.map(({ face }) => face).join(','), psi: state.psi, closed: state.closed ? 1 : 0, seconds: state.seconds, fps: FPS });
  const add = ({ face, label }) => (state.stops.length >= MOST ? say(`${MOST} faces are the most.`) : change({ stops: [...state.stops, { face, label }] }));
  function move(from, by) {
    const held = [...state.stops];
    const to = Math.max(0, Math.min(from + by, held.length - 1));
    held.splice(to, 0, ...held.splice(from, 1));
    change({ stops: held });
    stops.children[to]?.querySelector(by < 0 ? 'button' : 'button:last-child')?.focus();
  }

  function draw() {
    if (state.part !== 'walk') return;
    stops.replaceChildren(...state.stops.map(({ face, label }, place) => {
      const picture = (pictures[place] ??= new Picture());
      show(picture, face, label);
      return h('li', {}, picture.element, h('div', { class: 'row' },
        h('button', { type: 'button', 'aria-label': `${label}: earlier`, disabled: !place, onclick: () => move(place, -1) }, '←'),
        h('button', { type: 'button', 'aria-label': `Take ${label} out`, onclick: () => change({ stops: state.stops.filter((_, i) => i !== place) }) }, '×'),
        h('button', { type: 'button', 'aria-label': `${label}: later`, disabled: place === state.stops.length - 1, onclick: () => move(place, 1) }, '→')));
    }));
    all.disabled = !state.kept.length;
    clear.hidden = !state.stops.length;
    const ready = state.stops.length > 1;
    for (const each of [...buttons, command]) each.disabled = !ready;
    clearTimeout(timer);
    if (ready) timer = setTimeout(play, 350);
    else { video.hidden = true; shown = ''; words.textContent = 'Two faces or more make a walk. Click kept faces below.'; }
  }

  async function play() {
    const address = url('mp4', 2); // small: the page enlarges it smoothly
    if (address === shown) return;
    controller?.abort();
    controller = new AbortController();
    words.textContent = 'Making the film …';
    video.hidden = true;
    try {
      const blob = await (await ask(address, { signal: controller.signal })).blob();
      if (video.src) URL.revokeObjectURL(video.src);
      video.src = URL.createObjectURL(blob);
      video.hidden = false;
      words.textContent = '';
      shown = address;
      video.play().catch(() => {});
    } catch (error) {
      if (error.name !== 'AbortError') words.textContent = error.message;
    }
  }
  async function get(kind) {
    say(`Making the ${kind.toUpperCase()} …`);
    await download(url(kind), `walk.${kind}`);
  }
  async function again() {
    const { command: line } = await askJson(url('json')).catch((error) => say(error.message) ?? {});
    if (line) copy(line, 'Command line');
    else say('A command makes walks of plain seeds only.');
  }
  onChange((names) => names.some((each) => ['stops', 'psi', 'closed', 'seconds', 'kept'].includes(each)) && draw());

  return {
    element,
    use: { hint: 'Click one to add it.', empty: 'Keep faces, then walk.', click: add },
    enter(item) {
      if (item) add({ label: labelOf(item.face), ...item });
      else if (!state.stops.length && state.kept.length > 1) change({ stops: state.kept.slice(0, MOST) });
      draw();
      if (!video.hidden) video.play().catch(() => {});
    },
    leave() { controller?.abort(); clearTimeout(timer); video.pause(); for (const picture of pictures) picture.stop(); },
  };
}
