// The kept faces, at the bottom of every part. Each part decides what a click on a kept face does.

import { h, Picture, showMessage } from './dom.js';
import { change, isLatent, onChange, parseFace, state, toggleKept } from './state.js';
import { linksOfFace, pictureButtons, showFace } from './widgets.js';

const KEPT_BUTTONS = '#tray-faces li > button:first-child';
const cells = new Map(); // face -> {element, picture}
let tray = null; // of the current part: {hint, emptyHint, onClick(item), currentFace()}

export function connectTray(partsTray) {
  tray = partsTray;
  document.getElementById('tray-hint').textContent = state.kept.length || tray.emptyHint === undefined ? tray.hint : tray.emptyHint;
  markCurrent();
}

export function startTray() {
  const clear = h('button', { type: 'button', class: 'plain', onclick: clearAll }, 'Clear');
  document.querySelector('.tray-tools').append(clear);
  const draw = () => {
    const list = document.getElementById('tray-faces');
    clear.hidden = !state.kept.length;
    for (const [face, { element }] of cells) if (!state.kept.some((each) => each.face === face)) { element.remove(); cells.delete(face); }
    state.kept.forEach((item, place) => {
      if (!cells.has(item.face)) cells.set(item.face, createCell(item));
      const { element, picture } = cells.get(item.face);
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
      showFace(picture, item.face, item.label);
    });
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
  for (const [face, { element }] of cells) {
    if (current !== null && (face === current || parseFace(face).base === current)) element.setAttribute('aria-current', 'true');
    else element.removeAttribute('aria-current');
  }
}

function createCell(item) {
  const picture = new Picture(item.label);
  const button = h('button', { type: 'button', title: item.label, onclick: () => tray.onClick(item), onkeydown: (event) => onKey(event, item) }, picture.element);
  const removeButton = h('button', { type: 'button', class: 'remove', 'aria-label': `Remove ${item.label}`, onclick: () => remove(item) }, '×');
  const element = h('li', { draggable: true, class: Object.keys(parseFace(item.face).edits).length ? 'edited' : '' }, button, removeButton);
  element.addEventListener('dragstart', (event) => {
    event.dataTransfer.setData('text/plain', item.face);
    event.dataTransfer.effectAllowed = 'copyMove';
  });
  element.addEventListener('dragover', (event) => { event.preventDefault(); element.classList.add('over'); });
  element.addEventListener('dragleave', () => element.classList.remove('over'));
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    element.classList.remove('over');
    move(event.dataTransfer.getData('text/plain'), state.kept.findIndex(({ face }) => face === item.face));
  });
  return { element, picture };
}

function onKey(event, item) {
  const buttons = [...document.querySelectorAll(KEPT_BUTTONS)];
  const place = buttons.indexOf(event.currentTarget);
  const focus = (next) => { buttons[Math.max(0, Math.min(next, buttons.length - 1))]?.focus(); event.preventDefault(); };
  if (event.key === 'ArrowRight') focus(place + 1);
  else if (event.key === 'ArrowLeft') focus(place - 1);
  else if (event.key === 'Home') focus(0);
  else if (event.key === 'End') focus(buttons.length);
  else if (event.key === 'Delete' || event.key === 'Backspace') {
    remove(item);
    document.querySelectorAll(KEPT_BUTTONS)[Math.min(place, buttons.length - 2)]?.focus();
    event.preventDefault();
  }
}

function move(face, to) {
  const from = state.kept.findIndex((each) => each.face === face);
  if (from < 0 || to < 0) return;
  const kept = [...state.kept];
  kept.splice(to, 0, ...kept.splice(from, 1));
  change({ kept });
}

function remove(item) {
  toggleKept(item.face);
  showMessage(`Removed ${item.label}`);
}

function clearAll() {
  const removed = state.kept;
  change({ kept: [] });
  showMessage(`${removed.length === 1 ? '1 face' : `${removed.length} faces`} removed. Press Ctrl+Z to undo.`);
  const undo = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !state.kept.length) change({ kept: removed });
    removeEventListener('keydown', undo);
  };
  addEventListener('keydown', undo);
}

// Shows a kept face enlarged, with buttons for everything that can be done with it.
export function openCard(item, openPart) {
  const card = document.getElementById('card');
  const picture = new Picture(item.label);
  const openIn = (part) => () => { card.close(); openPart(part, item); };
  card.replaceChildren(h('div', { class: 'card' },
    h('h2', { id: 'card-title' }, capitalized(item.label)), h('button', { type: 'button', class: 'plain close', 'aria-label': 'Close', onclick: () => card.close() }, '×'),
    picture.element,
    h('div', { class: 'row' }, h('button', { type: 'button', class: 'main', onclick: openIn('edit') }, 'Edit'), h('button', { type: 'button', onclick: openIn('mix') }, 'Mix'),
      h('button', { type: 'button', onclick: openIn('walk') }, 'Walk'), h('button', { type: 'button', class: 'plain', onclick: () => { card.close(); remove(item); } }, 'Remove')),
    pictureButtons(() => linksOfFace(item.face)),
    h('p', { class: 'small soft' }, `A synthetic picture${isLatent(item.face) ? '' : ' of a person who does not exist'}. The downloaded file says so and contains how it was made.`)));
  card.onclick = (event) => event.target === card && card.close();
  showFace(picture, item.face, item.label);
  card.showModal();
}

export const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);
