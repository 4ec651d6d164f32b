// One face, and a slider for each attribute direction of the model.

import { navigate } from './address.js';
import { heading, seedField, strengthSlider } from './controls.js';
import { descriptionLine } from './describe.js';
import { button, capitalized, h } from './dom.js';
import { faceText, parseFace, readable } from './face_text.js';
import { isKept, toggleKept } from './kept.js';
import { Picture } from './picture.js';
import { requestJson } from './server.js';
import { apiUrl, change, labelOf, onChange, state, studio } from './state.js';
import { variationsPanel } from './variations.js';
import { linksOfFace, notice, pictureButtons, showFace, varietySlider } from './widgets.js';
import { openZoom } from './zoom.js';

const MAX_STRENGTH = 3; // at 1 the attribute is clearly visible
const MAX_UNDO = 200;

export function editPart(signal) {
  const before = new Picture();
  const after = new Picture();
  const editsOfFaces = new Map(); // face -> its edits, so that returning to a face finds them again
  const undoHistory = new Map(); // face -> {undo, redo}: lists of edits
  const rows = new Map(); // direction -> slider
  const name = h('h2', {}, '');
  const description = descriptionLine();
  const keep = button('Keep', () => toggleKept(face()), { class: 'main' });
  const undo = button('Undo', () => step('undo', 'redo'), { title: 'Ctrl+Z' });
  const redo = button('Redo', () => step('redo', 'undo'), { title: 'Ctrl+Shift+Z' });
  const reset = button('Reset', () => replaceEdits({}), { title: 'All sliders to zero' });
  const compare = button('Hold to compare', () => {}, { title: 'Shows the face without the changes while you hold the button' });
  const seed = seedField('Another seed', '', (number) => startEditing(String(number), {}));
  const zoomable = (picture, current, label) => {
    const zoom = button('', () => openZoom(current()), { class: 'bare', 'aria-label': label, title: 'Zoom in' });
    zoom.append(picture.element);
    return zoom;
  };
  const variations = variationsPanel(signal);
  const pair = h('div', { class: 'pair' },
    h('figure', { class: 'before' }, zoomable(before, () => state.editing, 'Zoom into the face before'), h('figcaption', {}, 'Before')),
    h('figure', { class: 'after' }, zoomable(after, face, 'Zoom into the face after'), h('figcaption', {}, 'After')));
  const element = h('section', { class: 'part edit', 'aria-label': 'Edit' },
    heading('Change a face', 'Drag to change the face; 1 is a clear change. Tap a kept face to edit it.'),
    h('div', { class: 'columns' },
      h('div', { class: 'sticky pairing' }, h('div', { class: 'row spread' }, name, compare), pair, description.element),
      h('div', { class: 'panel' }, h('div', { class: 'row' }, keep, undo, redo, reset), sliders(), unlabeledSliders(),
        h('div', { class: 'bar' }, varietySlider(signal), seed.element), pictureButtons((scale) => linksOfFace(face(), scale)))),
    variations.element);

  function sliders() {
    if (!studio.model.directions.length) {
      const reason = studio.model.directions_error ?? 'This generator has no attribute directions yet. Learn them from labeled faces; it takes a few minutes:';
      return notice(reason, studio.model.directions_command);
    }
    return h('div', { class: 'sliders' }, studio.model.directions.map((direction) => sliderRow(direction)));
  }

  // Directions that were found without labels. They have numbers instead of names; each changes several things at once.
  function unlabeledSliders() {
    const methods = studio.model.unlabeled ?? [];
    if (!methods.length) return null;
    const box = h('div', { class: 'sliders' });
    const about = h('p', { class: 'small soft', role: 'status' });
    const show = async (method) => {
      try {
        const { directions } = await requestJson(apiUrl('directions', { method }));
        about.textContent = 'Each slider changes several things at once.';
        box.replaceChildren(...directions.map((direction) => sliderRow(direction)));
        draw();
      } catch (error) { about.textContent = error.message; }
    };
    const labels = { pca: 'PCA', sefa: 'SeFa' };
    const choice = h('select', { 'aria-label': 'Method', onchange: () => show(choice.value) }, methods.map((method) => h('option', { value: method }, labels[method] ?? method)));
    const details = h('details', { ontoggle: () => details.open && !box.childElementCount && show(choice.value) },
      h('summary', {}, 'More directions, found without labels'), h('div', { class: 'part' }, h('div', { class: 'row' }, choice, about), box));
    return details;
  }

  function sliderRow(direction) {
    let editsBeforeDrag = null;
    const row = strengthSlider(readable(direction), {
      max: MAX_STRENGTH,
      oninput: (strength) => { editsBeforeDrag ??= state.edits; showEdits({ ...state.edits, [direction]: strength }); },
      onchange: () => { if (editsBeforeDrag) remember(editsBeforeDrag); editsBeforeDrag = null; },
    });
    rows.set(direction, row);
    return row.element;
  }

  function face() { return faceText(state.editing, state.edits); }
  function historyOfFace() {
    if (!undoHistory.has(state.editing)) undoHistory.set(state.editing, { undo: [], redo: [] });
    return undoHistory.get(state.editing);
  }

  function showEdits(edits) {
    const nonzero = Object.fromEntries(Object.entries(edits).filter(([, strength]) => strength));
    editsOfFaces.set(state.editing, nonzero);
    change({ edits: nonzero });
  }
  function remember(previousEdits) {
    const lists = historyOfFace();
    lists.undo.push(previousEdits);
    if (lists.undo.length > MAX_UNDO) lists.undo.shift();
    lists.redo = [];
    draw();
  }
  function replaceEdits(edits) {
    const previousEdits = state.edits;
    showEdits(edits);
    remember(previousEdits);
  }
  function step(from, to) {
    const lists = historyOfFace();
    if (!lists[from].length) return;
    lists[to].push(state.edits);
    showEdits(lists[from].pop());
    draw();
  }
  const startEditing = (base, edits) => navigate({ editing: base, edits: Object.keys(edits).length ? edits : editsOfFaces.get(base) ?? {} });

  function draw() {
    if (state.part !== 'edit' || !state.editing) return;
    const lists = historyOfFace();
    showFace(before, state.editing, 'The face before', { live: 1 });
    showFace(after, face(), `The face after: ${labelOf(face())}`, { live: 1 });
    name.textContent = capitalized(labelOf(state.editing));
    for (const [direction, row] of rows) row.set(state.edits[direction] ?? 0);
    keep.textContent = isKept(face()) ? 'Kept ✓' : 'Keep';
    keep.title = isKept(face()) ? 'Remove this face from the kept faces' : '';
    undo.disabled = !lists.undo.length;
    redo.disabled = !lists.redo.length;
    reset.disabled = compare.disabled = !Object.keys(state.edits).length;
    variations.draw(face());
    description.draw(face);
  }
  onChange((names) => names.some((each) => ['edits', 'editing', 'psi', 'kept'].includes(each)) && draw(), signal);

  addEventListener('keydown', (event) => {
    if (state.part !== 'edit' || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || event.target.matches('input:not([type=range])')) return;
    event.preventDefault();
    if (event.shiftKey) step('redo', 'undo');
    else step('undo', 'redo');
  }, { signal });

  // While the button or its key is down, "after" shows the face before.
  const comparing = (on) => () => pair.classList.toggle('comparing', on);
  for (const eventName of ['pointerdown', 'keydown']) compare.addEventListener(eventName, (event) => (event.key === undefined || event.key === ' ' || event.key === 'Enter') && comparing(true)());
  for (const eventName of ['pointerup', 'pointercancel', 'pointerleave', 'keyup', 'blur']) compare.addEventListener(eventName, comparing(false));

  return {
    element,
    tray: {
      hint: 'Tap a face to edit it.', emptyHint: 'Keep faces, then edit them.', currentFace: face,
      onClick({ face: chosen }) { const { base, edits } = parseFace(chosen); startEditing(base, edits); },
    },
    enter() {
      if (!state.editing) {
        const { base, edits } = parseFace(studio.kept[0]?.face ?? String(state.first));
        change({ editing: base, edits });
      }
      draw();
    },
    leave() { before.stop(); after.stop(); variations.stop(); },
  };
}
