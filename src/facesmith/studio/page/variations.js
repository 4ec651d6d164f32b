// Small random changes of a face, and children of two faces.

import { navigate } from './address.js';
import { slider } from './controls.js';
import { describeOnFocus } from './describe.js';
import { button, h } from './dom.js';
import { isKept, toggleKept } from './kept.js';
import { Picture } from './picture.js';
import { requestJson } from './server.js';
import { apiUrl, currentPsi, faceQuery, inEdit, onChange } from './state.js';
import { showFace } from './widgets.js';

const COUNT = 8;
const SETTLE_MS = 400; // after the last change

// A grid of faces that the server makes from others.
//   find({count, start, amount}): the URL of the request.
function offspringGrid({ amount, find, signal, makesSense = () => true }) {
  const grid = h('ul', { class: 'wall offspring' });
  const cells = Array.from({ length: COUNT }, () => createCell());
  const status = h('p', { class: 'small soft', role: 'status' });
  const change = slider(amount.name, { min: 0.05, max: 1, step: 0.05, value: amount.value, format: (each) => each.toFixed(2), onchange: () => load() });
  const more = button('More', () => { start += COUNT; load(); });
  let start = 0;
  let controller;
  grid.append(...cells.map(({ element }) => element));

  function createCell() {
    const picture = new Picture();
    const cell = { picture, face: null };
    const edit = button('', () => navigate(inEdit(cell.face)), { class: 'bare', title: 'Edit this face' });
    edit.append(picture.element);
    describeOnFocus(edit, () => cell.face);
    const keep = button('Keep', () => toggleKept(cell.face, cell.label), { class: 'small' });
    Object.assign(cell, { element: h('li', {}, edit, keep), edit, keep });
    return cell;
  }
  function markKept() {
    for (const { face, keep } of cells) keep.textContent = face && isKept(face) ? 'Kept ✓' : 'Keep';
  }
  async function load() {
    controller?.abort();
    grid.hidden = !makesSense();
    if (!makesSense()) return;
    controller = new AbortController();
    try {
      const { faces } = await requestJson(find({ count: COUNT, start, amount: Number(change.input.value) }), { signal: controller.signal });
      faces.forEach(({ face }, place) => {
        const cell = cells[place];
        cell.face = face;
        cell.label = `${amount.label} ${start + place + 1}`;
        cell.edit.setAttribute('aria-label', `Edit ${cell.label}`);
        cell.keep.setAttribute('aria-label', `Keep ${cell.label}`);
        showFace(cell.picture, face, cell.label);
      });
      status.textContent = '';
      markKept();
    } catch (error) { if (error.name !== 'AbortError') status.textContent = error.message; }
  }
  onChange((names) => names.includes('kept') && markKept(), signal);
  return {
    content: [h('div', { class: 'bar' }, change.element, more), status, grid],
    load: () => { start = 0; return load(); },
    stop() { controller?.abort(); for (const { picture } of cells) picture.stop(); },
  };
}

// Variations of the face in Edit. They are made only while the panel is open.
export function variationsPanel(signal) {
  let face = null;
  let shown = null; // the face and the psi whose variations are visible
  const grid = offspringGrid({
    amount: { name: 'How different', value: 0.3, label: 'variation' }, signal,
    find: ({ count, start, amount }) => apiUrl('variations.json', faceQuery(face, { count, start, amount })),
  });
  const load = () => {
    const key = `${face} ${currentPsi()}`;
    if (details.open && face !== null && key !== shown) { shown = key; grid.load(); }
  };
  const details = h('details', { class: 'variations', ontoggle: load },
    h('summary', {}, 'Variations of this face'), h('p', { class: 'small soft' }, 'Small random changes. Tap one to continue with it.'), grid.content);
  let timer;
  return {
    element: details,
    draw(newFace) {
      face = newFace;
      clearTimeout(timer);
      timer = setTimeout(load, SETTLE_MS);
    },
    stop() { clearTimeout(timer); shown = null; grid.stop(); },
  };
}

// Children of the first two faces in Mix.
export function childrenPanel(signal) {
  let parents = '';
  let shown = null; // the parents and the psi whose children are visible
  const grid = offspringGrid({
    amount: { name: 'Mutation', value: 0.2, label: 'child' }, signal, makesSense: () => parents !== '',
    find: ({ count, start, amount }) => apiUrl('breed.json', { parents, count, start, mutation: amount, psi: currentPsi() }),
  });
  const load = () => {
    const key = `${parents} ${currentPsi()}`;
    if (details.open && key !== shown) { shown = key; grid.load(); }
  };
  const details = h('details', { class: 'variations', ontoggle: load },
    h('summary', {}, 'Children of the first two faces'), h('p', { class: 'small soft' }, 'Each child has traits of both faces, and small random changes.'), grid.content);
  let timer;
  return {
    element: details,
    draw(terms) {
      details.hidden = terms.length < 2;
      parents = terms.length < 2 ? '' : terms.slice(0, 2).map(({ face }) => face).join(',');
      clearTimeout(timer);
      timer = setTimeout(load, SETTLE_MS);
    },
    stop() { clearTimeout(timer); shown = null; grid.stop(); },
  };
}
