// Earlier walls and edits of this tab. Each entry is an address, so opening it restores everything.

import { addressOf, navigate, readAddress } from './address.js';
import { button, capitalized, h } from './dom.js';
import { descriptionOf, faceText } from './face_text.js';
import { Picture } from './picture.js';
import { onChange, shortHash, state, studio } from './state.js';
import { showFace } from './widgets.js';

const STORAGE_KEY = 'facesmith-studio-history'; // of this tab; the browser forgets it with the tab
const MAX_ENTRIES = 60;
const SETTLE_MS = 1500; // a state that lasts this long is worth an entry

let entries = read(); // {label, face, model, address}, the newest first
function read() { try { return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '[]'); } catch { return []; } }

// Records a wall or an edit when the user leaves it, or after a while.
export function recordHistory() {
  let latest = describedState();
  let timer = setTimeout(() => record(latest), SETTLE_MS);
  onChange((names) => {
    if (names.some((name) => ['part', 'first', 'editing', 'model'].includes(name))) record(latest);
    latest = describedState();
    clearTimeout(timer);
    timer = setTimeout(() => record(latest), SETTLE_MS);
  });
}

function record(entry) {
  const isSame = ({ label, model }) => label === entry.label && model === entry.model;
  if (!entry || entries.slice(0, 1).some(isSame)) return;
  entries = [entry, ...entries.filter((each) => !isSame(each))].slice(0, MAX_ENTRIES);
  try { sessionStorage.setItem(STORAGE_KEY, JSON.stringify(entries)); } catch { /* it stays in memory */ }
}

function describedState() {
  const { model } = state;
  const address = addressOf(undefined, '');
  if (state.part === 'faces') return { label: `Wall from seed ${state.first}, variety ${state.psi}`, face: String(state.first), model, address };
  if (state.part === 'edit' && state.editing) {
    const face = faceText(state.editing, state.edits);
    return { label: capitalized(descriptionOf(face)), face, model, address };
  }
  return null;
}

export function openHistory() {
  const dialog = h('dialog', { class: 'wide', 'aria-labelledby': 'history-title', onclose: () => dialog.remove() });
  const open = (address) => { dialog.close(); navigate(readAddress(address).values); };
  dialog.append(h('div', { class: 'card' }, h('h2', { id: 'history-title' }, 'Earlier walls and edits'), button('×', () => dialog.close(), { class: 'plain close', 'aria-label': 'Close' }),
    entries.length ? h('ul', { class: 'history' }, entries.map(({ label, face, model: hash, address }) => {
      const picture = new Picture();
      const model = studio.models.find((each) => shortHash(each) === hash);
      showFace(picture, face, '', model ? { model: model.id } : {});
      const entry = button('', () => open(address));
      entry.append(picture.element, h('span', {}, model && studio.models.length > 1 ? `${label}, ${model.name}` : label));
      return h('li', {}, entry);
    })) : h('p', { class: 'soft' }, 'Nothing yet. Walls and edited faces appear here.')));
  document.body.append(dialog);
  dialog.showModal();
}
