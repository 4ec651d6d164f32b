// A film that walks from one face to the next.

import { heading, slider, whileBusy } from './controls.js';
import { button, h, listDrawer } from './dom.js';
import { copy, showMessage, showRemoval } from './messages.js';
import { Picture } from './picture.js';
import { watchQueue } from './queue.js';
import { importModule, requestBlob, requestJson } from './server.js';
import { apiUrl, change, currentPsi, labelOf, MAX_STOPS, onChange, state, studio } from './state.js';
import { stopsWith } from './tray.js';
import { download, showFace, varietySlider } from './widgets.js';

const FPS = 25;
const PLAY_WAIT_MS = 350; // after the last change
const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

export function walkPart(signal) {
  const stops = h('ol', { class: 'stops', 'aria-label': 'Faces on the way' });
  const video = h('video', { loop: true, muted: true, playsInline: true, controls: true, hidden: true, 'aria-label': 'The walk through these faces', onerror: showNoPlayer });
  const status = h('p', { role: 'status' });
  const film = h('div', { class: 'film' }, video, status);
  const closed = h('input', { type: 'checkbox', onchange: () => change({ closed: closed.checked }) });
  const seconds = slider('Seconds per face', { min: 0.5, max: 5, step: 0.5, value: state.seconds, format: (each) => each.toFixed(1), onchange: (each) => change({ seconds: each }) });
  const downloads = ['mp4', 'gif'].map((kind) => {
    const each = button(`Download ${kind.toUpperCase()}`, () => whileBusy(each, () => downloadFilm(kind)));
    return each;
  });
  const command = button('Copy command', copyCommand);
  const useAll = button('Use all kept faces', () => change({ stops: keptFaces() }));
  const clear = button('Start over', clearStops, { class: 'plain' });
  const stage = button('Stage mode', () => importModule('./stage.js').then(({ openStage }) => openStage()), { title: 'An endless walk on the full screen, without controls' });
  const element = h('section', { class: 'part walk', 'aria-label': 'Walk' },
    heading('Walk from face to face', 'A film that turns one face into the next. Every picture in between is a face, too.'),
    h('div', { class: 'columns' }, h('div', { class: 'panel' }, h('div', { class: 'row' }, useAll, clear), stops,
      h('div', { class: 'bar' }, seconds.element, varietySlider(signal), h('label', { class: 'check small' }, closed, 'Return to the first face'))),
    h('div', { class: 'sticky' }, film, h('div', { class: 'row' }, downloads, command, stage))));
  const cells = new WeakMap(); // element of a stop -> its controls
  let controller;
  let playingUrl = '';
  let requestedUrl = ''; // of the film that is being made
  let playTimer;

  const filmUrl = (kind, query = {}) => apiUrl(`walk.${kind}`, { ...query, faces: state.stops.join(','), psi: currentPsi(), closed: state.closed ? 1 : 0, seconds: state.seconds, fps: FPS });
  const keptFaces = () => studio.kept.slice(0, MAX_STOPS).map(({ face }) => face);
  function move(from, by) {
    const to = from + by;
    if (to < 0 || to >= state.stops.length) return;
    const reordered = [...state.stops];
    reordered.splice(to, 0, ...reordered.splice(from, 1));
    change({ stops: reordered });
    showMessage(`${labelOf(reordered[to])} is now number ${to + 1} of ${reordered.length}`);
  }
  function remove(place) {
    const before = state.stops;
    change({ stops: before.filter((_, i) => i !== place) });
    showRemoval(`Removed ${labelOf(before[place])}`, () => change({ stops: before }));
  }
  function clearStops() {
    const before = state.stops;
    change({ stops: [] });
    showRemoval('All faces removed from the walk', () => change({ stops: before }));
  }

  function createStop() {
    const cell = { place: 0, picture: new Picture() };
    cell.earlier = button('←', () => move(cell.place, -1), { 'data-control': 'earlier' });
    cell.remove = button('×', () => remove(cell.place), { 'data-control': 'remove', title: 'Remove' });
    cell.later = button('→', () => move(cell.place, 1), { 'data-control': 'later' });
    const stopElement = h('li', {}, cell.picture.element, h('div', { class: 'row' }, cell.earlier, cell.remove, cell.later));
    cells.set(stopElement, cell);
    return stopElement;
  }
  function updateStop(stopElement, face, place) {
    const cell = cells.get(stopElement);
    const label = labelOf(face);
    cell.place = place;
    showFace(cell.picture, face, label);
    cell.earlier.setAttribute('aria-label', `Move ${label} earlier`);
    cell.remove.setAttribute('aria-label', `Remove ${label}`);
    cell.later.setAttribute('aria-label', `Move ${label} later`);
    cell.earlier.ariaDisabled = place ? null : 'true'; // a disabled button would lose the focus
    cell.later.ariaDisabled = place < state.stops.length - 1 ? null : 'true';
  }
  const drawStops = listDrawer(stops, { keyOf: (face) => face, create: createStop, update: updateStop, fallback: () => document.querySelector('#tray-faces button') ?? useAll });

  function draw() {
    if (state.part !== 'walk') return;
    drawStops(state.stops);
    closed.checked = state.closed;
    seconds.set(state.seconds);
    useAll.disabled = !studio.kept.length;
    clear.hidden = !state.stops.length;
    const ready = state.stops.length > 1;
    for (const each of [...downloads, command]) each.disabled = !ready;
    clearTimeout(playTimer);
    if (ready) playTimer = setTimeout(makeFilm, PLAY_WAIT_MS);
    else {
      controller?.abort();
      video.hidden = true;
      playingUrl = '';
      status.textContent = 'A walk needs two faces or more. Tap kept faces below.';
    }
  }

  async function makeFilm() {
    const url = filmUrl('mp4', { scale: 1 }); // small, because the browser enlarges it smoothly
    if (url === playingUrl || url === requestedUrl) return;
    controller?.abort();
    const ownController = controller = new AbortController();
    playingUrl = '';
    requestedUrl = url;
    const stop = watchQueue('film', (text) => { status.textContent = text; }, 'Making the film …');
    video.hidden = true;
    try {
      const blob = await requestBlob(url, { signal: ownController.signal });
      if (video.src) URL.revokeObjectURL(video.src);
      video.src = URL.createObjectURL(blob);
      video.hidden = false;
      stop();
      status.textContent = '';
      playingUrl = url;
      play();
    } catch (error) {
      stop();
      if (error.name !== 'AbortError') status.textContent = error.message;
    } finally {
      if (controller === ownController) requestedUrl = ''; // otherwise another film has been requested since
    }
  }
  function showNoPlayer() {
    video.hidden = true;
    status.textContent = 'This browser can’t play the film here. Download it instead.';
  }
  // With reduced motion, the film starts only when the user presses Play.
  const play = () => !reducedMotion.matches && video.play().catch(() => {});

  async function downloadFilm(kind) {
    showMessage(`Making the ${kind.toUpperCase()} …`);
    if (await download(filmUrl(kind), `walk.${kind}`)) showMessage(`walk.${kind} downloaded`);
  }
  async function copyCommand() {
    try {
      const code = await requestJson(filmUrl('json'));
      if (code.command) await copy(code.command, 'Command');
      else showMessage('A command can make walks of unedited seeds only.');
    } catch (error) { showMessage(error.message); }
  }
  onChange((names) => names.some((each) => ['stops', 'psi', 'closed', 'seconds', 'kept'].includes(each)) && draw(), signal);

  return {
    element,
    tray: { hint: 'Tap a face to add it.', emptyHint: 'Keep faces, then walk.', onClick: ({ face }) => change({ stops: stopsWith(face) }) },
    enter() {
      if (!state.stops.length && studio.kept.length > 1) change({ stops: keptFaces() });
      draw();
      if (!video.hidden) play();
    },
    leave() { controller?.abort(); clearTimeout(playTimer); video.pause(); },
  };
}
