// A film that walks from one kept face to the next.

import { copy, h, Picture, request, requestJson, showMessage } from './dom.js';
import { apiUrl, change, labelOf, onChange, state } from './state.js';
import { download, heading, showFace, slider, varietySlider } from './widgets.js';

const MAX_STOPS = 24;
const FPS = 25;
const PREVIEW_SCALE = 2; // small, because the page enlarges the film smoothly

export function walkPart() {
  const stops = h('ol', { class: 'stops', 'aria-label': 'Faces on the way' });
  const video = h('video', { loop: true, muted: true, autoplay: true, playsInline: true, controls: true, hidden: true, 'aria-label': 'The walk through these faces' });
  const status = h('p', {});
  const film = h('div', { class: 'film' }, video, status);
  const closed = h('input', { type: 'checkbox', checked: state.closed, onchange: () => change({ closed: closed.checked }) });
  const seconds = slider('Seconds per face', { min: 0.5, max: 5, step: 0.5, value: state.seconds, format: (each) => each.toFixed(1), onchange: (each) => change({ seconds: each }) });
  const downloads = ['mp4', 'gif'].map((kind) => h('button', { type: 'button', onclick: () => downloadFilm(kind) }, `Download ${kind.toUpperCase()}`));
  const command = h('button', { type: 'button', onclick: copyCommand }, 'Copy command');
  const useAll = h('button', { type: 'button', onclick: () => change({ stops: state.kept.slice(0, MAX_STOPS) }) }, 'Use all kept faces');
  const clear = h('button', { type: 'button', class: 'plain', onclick: () => change({ stops: [] }) }, 'Start over');
  const element = h('section', { class: 'part', 'aria-label': 'Walk' },
    heading('Walk from face to face', 'A film that turns one face into the next. Every picture in between is a face, too. The film plays in a loop.'),
    h('div', { class: 'columns' }, h('div', { class: 'panel' }, h('div', { class: 'row' }, useAll, clear), stops,
      h('div', { class: 'bar' }, seconds.element, varietySlider(), h('label', { class: 'check small' }, closed, 'Return to the first face'))),
    h('div', { class: 'sticky' }, film, h('div', { class: 'row' }, downloads, command))));
  const pictures = []; // of the stops, by place
  let controller;
  let playingUrl = '';
  let playTimer;

  const filmUrl = (kind, scale) => apiUrl(`walk.${kind}`, { ...(scale ? { scale } : {}), faces: state.stops.map(({ face }) => face).join(','), psi: state.psi, closed: state.closed ? 1 : 0, seconds: state.seconds, fps: FPS });
  const add = ({ face, label }) => (state.stops.length >= MAX_STOPS ? showMessage(`A walk has at most ${MAX_STOPS} faces.`) : change({ stops: [...state.stops, { face, label }] }));
  function move(from, by) {
    const reordered = [...state.stops];
    const to = Math.max(0, Math.min(from + by, reordered.length - 1));
    reordered.splice(to, 0, ...reordered.splice(from, 1));
    change({ stops: reordered });
    stops.children[to]?.querySelector(by < 0 ? 'button' : 'button:last-child')?.focus();
  }

  function draw() {
    if (state.part !== 'walk') return;
    stops.replaceChildren(...state.stops.map(({ face, label }, place) => {
      const picture = (pictures[place] ??= new Picture());
      showFace(picture, face, label);
      return h('li', {}, picture.element, h('div', { class: 'row' },
        h('button', { type: 'button', 'aria-label': `Move ${label} forward`, disabled: !place, onclick: () => move(place, -1) }, '←'),
        h('button', { type: 'button', 'aria-label': `Remove ${label}`, onclick: () => change({ stops: state.stops.filter((_, i) => i !== place) }) }, '×'),
        h('button', { type: 'button', 'aria-label': `Move ${label} back`, disabled: place === state.stops.length - 1, onclick: () => move(place, 1) }, '→')));
    }));
    useAll.disabled = !state.kept.length;
    clear.hidden = !state.stops.length;
    const ready = state.stops.length > 1;
    for (const button of [...downloads, command]) button.disabled = !ready;
    clearTimeout(playTimer);
    if (ready) playTimer = setTimeout(play, 350);
    else { video.hidden = true; playingUrl = ''; status.textContent = 'A walk needs two faces or more. Click kept faces below.'; }
  }

  async function play() {
    const url = filmUrl('mp4', PREVIEW_SCALE);
    if (url === playingUrl) return;
    controller?.abort();
    controller = new AbortController();
    status.textContent = 'Making the film …';
    video.hidden = true;
    try {
      const blob = await (await request(url, { signal: controller.signal })).blob();
      if (video.src) URL.revokeObjectURL(video.src);
      video.src = URL.createObjectURL(blob);
      video.hidden = false;
      status.textContent = '';
      playingUrl = url;
      video.play().catch(() => {});
    } catch (error) {
      if (error.name !== 'AbortError') status.textContent = error.message;
    }
  }
  async function downloadFilm(kind) {
    showMessage(`Making the ${kind.toUpperCase()} …`);
    await download(filmUrl(kind), `walk.${kind}`);
  }
  async function copyCommand() {
    try {
      const code = await requestJson(filmUrl('json'));
      if (code.command) await copy(code.command, 'Command');
      else showMessage('A command can make walks of unedited seeds only.');
    } catch (error) { showMessage(error.message); }
  }
  onChange((names) => names.some((each) => ['stops', 'psi', 'closed', 'seconds', 'kept'].includes(each)) && draw());

  return {
    element,
    tray: { hint: 'Click a face to add it.', emptyHint: 'Keep faces, then walk.', onClick: add },
    enter(item) {
      if (item) add({ label: labelOf(item.face), ...item });
      else if (!state.stops.length && state.kept.length > 1) change({ stops: state.kept.slice(0, MAX_STOPS) });
      draw();
      if (!video.hidden) video.play().catch(() => {});
    },
    leave() { controller?.abort(); clearTimeout(playTimer); video.pause(); for (const picture of pictures) picture.stop(); },
  };
}
