// The tray: the kept faces, at the bottom of every part. Each part decides what a click on a kept face does.

import { describeOnFocus, descriptionLine } from './describe.js';
import { button, capitalized, h, listDrawer } from './dom.js';
import { isLatent, parseFace } from './face_text.js';
import { clearKept, hiddenCount, moveKept, removeKept } from './kept.js';
import { showMessage } from './messages.js';
import { Picture } from './picture.js';
import { navigate } from './address.js';
import { inEdit, labelOf, MAX_STOPS, onChange, state, studio } from './state.js';
import { aboutFace, linksOfFace, pictureButtons, showFace } from './widgets.js';
import { openZoom } from './zoom.js';

const list = document.getElementById('tray-faces');
const hint = document.getElementById('tray-hint');
const pictures = new WeakMap(); // element of a kept face -> picture
let tray = null; // of the current part: {hint, emptyHint, onClick(item), currentFace()}

export function connectTray(partsTray) {
  tray = partsTray;
  hint.textContent = studio.kept.length || tray.emptyHint === undefined ? tray.hint : tray.emptyHint;
  document.body.classList.toggle('nothing-kept', !studio.kept.length);
  markCurrent();
}

export function startTray() {
  const clear = button('Clear', clearKept, { class: 'plain', title: 'Remove all kept faces' });
  document.querySelector('.tray-tools').append(clear);
  const drawList = listDrawer(list, {
    keyOf: ({ face }) => face, create: createCell,
    update(element, { face, label }) {
      element.item = { face, label };
      element.firstChild.title = label;
      showFace(pictures.get(element), face, label);
    },
    fallback: () => document.getElementById('main'),
  });
  const draw = () => {
    drawList(studio.kept);
    clear.hidden = !studio.kept.length;
    const hidden = hiddenCount();
    list.title = hidden ? `${hidden} kept ${hidden === 1 ? 'face belongs' : 'faces belong'} to another model` : '';
    if (tray) connectTray(tray);
  };
  onChange((names) => {
    if (names.some((name) => ['kept', 'psi', 'model'].includes(name))) draw();
    else markCurrent();
  });
  draw();
}

function markCurrent() {
  const current = tray?.currentFace?.() ?? null;
  for (const element of list.children) {
    const { face } = element.item;
    if (current !== null && (face === current || parseFace(face).base === current)) element.setAttribute('aria-current', 'true');
    else element.removeAttribute('aria-current');
  }
}

function createCell({ face, label }) {
  const picture = new Picture(label);
  const open = button('', () => tray?.onClick(element.item), { 'data-control': 'open', onkeydown: (event) => onKey(event, element) });
  open.append(picture.element);
  describeOnFocus(open, () => face);
  const remove = button('×', () => removeKept(face), { class: 'remove', 'data-control': 'remove', 'aria-label': `Remove ${label}`, title: 'Remove' });
  const element = h('li', { draggable: true, class: Object.keys(parseFace(face).edits).length ? 'edited' : '' }, open, remove);
  pictures.set(element, picture);
  element.addEventListener('dragstart', (event) => {
    event.dataTransfer.setData('text/plain', face);
    event.dataTransfer.effectAllowed = 'copyMove';
  });
  const isFile = (event) => [...event.dataTransfer.types].includes('Files'); // the page opens it
  element.addEventListener('dragover', (event) => {
    if (isFile(event)) return;
    event.preventDefault();
    element.classList.add('over');
  });
  element.addEventListener('dragleave', () => element.classList.remove('over'));
  element.addEventListener('drop', (event) => {
    if (isFile(event)) return;
    event.preventDefault();
    element.classList.remove('over');
    moveKept(event.dataTransfer.getData('text/plain'), face);
  });
  return element;
}

function onKey(event, element) {
  const { face } = element.item;
  const neighbor = { ArrowRight: element.nextElementSibling, ArrowLeft: element.previousElementSibling, Home: list.firstElementChild, End: list.lastElementChild }[event.key];
  if (event.altKey && neighbor) moveKept(face, neighbor.item.face);
  else if (neighbor) neighbor.firstChild.focus();
  else if (event.key === 'Delete' || event.key === 'Backspace') removeKept(face);
  else return;
  event.preventDefault();
}

// The stops of the walk with one more face, if there is room.
export function stopsWith(face) {
  if (state.stops.length < MAX_STOPS) return [...state.stops, face];
  showMessage(`A walk has at most ${MAX_STOPS} faces.`);
  return state.stops;
}

// Shows a kept face enlarged, with buttons for everything that can be done with it.
export function openCard({ face }) {
  const card = document.getElementById('card');
  const picture = new Picture(labelOf(face));
  const go = (values) => () => { card.close(); navigate(values()); };
  const zoom = button('', () => openZoom(face), { class: 'bare', 'aria-label': 'Zoom in' });
  zoom.append(picture.element);
  const description = descriptionLine();
  card.replaceChildren(h('div', { class: 'card' },
    h('h2', { id: 'card-title' }, capitalized(labelOf(face))), button('×', () => card.close(), { class: 'plain close', 'aria-label': 'Close' }),
    zoom, description.element,
    h('div', { class: 'row' }, button('Edit', go(() => inEdit(face)), { class: 'main' }),
      button('Mix', go(() => ({ part: 'mix', terms: [...state.terms, { face, weight: state.mix === 'sum' && state.terms.length === 1 ? -1 : 1 }].slice(-8) }))),
      button('Walk', go(() => ({ part: 'walk', stops: stopsWith(face) }))),
      button('Remove', () => { card.close(); removeKept(face); }, { class: 'plain' })),
    pictureButtons((scale) => linksOfFace(face, scale)),
    h('p', { class: 'small soft' }, aboutFace(face), isLatent(face) ? ' Links that you copy contain this face.' : '')));
  card.onclick = (event) => event.target === card && card.close();
  showFace(picture, face);
  card.showModal();
  description.draw(() => face);
}
