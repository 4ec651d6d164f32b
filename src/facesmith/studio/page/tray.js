// The kept faces, below every part; what a click on one does is the part's to say.

import { h, Picture, say } from './dom.js';
import { actions, ofFace, show } from './parts.js';
import { change, labelOf, onChange, parts, state, toggle } from './state.js';

const shown = new Map(); // face -> {element, picture}
let use = null; // of the present part: {hint, click(item), current()}

export function setUse(given) {
  use = given;
  document.getElementById('tray-hint').textContent = state.kept.length || given.empty === undefined ? given.hint : given.empty;
  mark();
}

export function startTray() {
  const tools = document.querySelector('.tray-tools');
  const clear = h('button', { type: 'button', class: 'plain', onclick: clearAll }, 'Clear');
  tools.append(clear);
  const draw = () => {
    const list = document.getElementById('tray-faces');
    clear.hidden = !state.kept.length;
    for (const [face, { element }] of shown) if (!state.kept.some((each) => each.face === face)) { element.remove(); shown.delete(face); }
    state.kept.forEach((item, place) => {
      if (!shown.has(item.face)) shown.set(item.face, cell(item));
      const { element, picture } = shown.get(item.face);
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
      show(picture, item.face, item.label);
    });
    if (use) setUse(use);
  };
  onChange((names) => {
    if (names.some((name) => ['kept', 'psi', 'model'].includes(name))) draw();
    else mark();
  });
  draw();
}

function mark() {
  const current = use?.current?.();
  for (const [face, { element }] of shown) {
    if (current !== undefined && current !== null && (face === current || parts(face).base === current)) element.setAttribute('aria-current', 'true');
    else element.removeAttribute('aria-current');
  }
}

function cell(item) {
  const picture = new Picture(item.label);
  const button = h('button', { type: 'button', title: item.label, onclick: () => use.click(item), onkeydown: (event) => onKey(event, item) }, picture.element);
  const drop = h('button', { type: 'button', class: 'drop', 'aria-label': `Remove ${item.label}`, onclick: () => remove(item) }, '×');
  const element = h('li', { draggable: true, class: Object.keys(parts(item.face).edits).length ? 'edited' : '' }, button, drop);
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
  const buttons = [...document.querySelectorAll('#tray-faces li > button:first-child')];
  const at = buttons.indexOf(event.currentTarget);
  const go = (place) => { buttons[Math.max(0, Math.min(place, buttons.length - 1))]?.focus(); event.preventDefault(); };
  if (event.key === 'ArrowRight') go(at + 1);
  else if (event.key === 'ArrowLeft') go(at - 1);
  else if (event.key === 'Home') go(0);
  else if (event.key === 'End') go(buttons.length);
  else if (event.key === 'Delete' || event.key === 'Backspace') {
    remove(item);
    document.querySelectorAll('#tray-faces li > button:first-child')[Math.min(at, buttons.length - 2)]?.focus();
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
  toggle(item.face);
  say(`${item.label} removed`);
}

function clearAll() {
  const before = state.kept;
  change({ kept: [] });
  say(`${before.length} faces removed. Press Ctrl+Z to have them back.`);
  const back = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !state.kept.length) change({ kept: before });
    removeEventListener('keydown', back);
  };
  addEventListener('keydown', back);
}

// A kept face at large, with all that can be done with it.
export function openCard(item, go) {
  const card = document.getElementById('card');
  const picture = new Picture(item.label);
  const to = (part) => () => { card.close(); go(part, item); };
  card.replaceChildren(h('div', { class: 'card' },
    h('h2', { id: 'card-title' }, sentence(item.label)), h('button', { type: 'button', class: 'plain close', 'aria-label': 'Close', onclick: () => card.close() }, '×'),
    picture.element,
    h('div', { class: 'row' }, h('button', { type: 'button', class: 'main', onclick: to('edit') }, 'Edit'), h('button', { type: 'button', onclick: to('mix') }, 'Mix'),
      h('button', { type: 'button', onclick: to('walk') }, 'Walk'), h('button', { type: 'button', class: 'plain', onclick: () => { card.close(); remove(item); } }, 'Remove')),
    actions(() => ofFace(item.face)),
    h('p', { class: 'small soft' }, item.face.startsWith('w.') ? 'A synthetic picture. The file says so, and how it was made.' : 'A synthetic picture; nobody in it exists. The file says so, and how it was made.')));
  card.onclick = (event) => event.target === card && card.close();
  show(picture, item.face, item.label);
  card.showModal();
}

export const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);
export { labelOf };
