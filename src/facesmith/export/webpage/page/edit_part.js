// One face, and a slider for each attribute direction of the model.

import { heading, seedField, strengthSlider } from './controls.js';
import { button, capitalized, h } from './dom.js';
import { readable } from './face_text.js';
import { baseOf, isEdited, readFace } from './page_faces.js';
import { isKept, keep, labelOf, change, model, navigate, onChange, state, withEdit } from './page_state.js';
import { conditionSwitches, pictureButtons, varietySlider } from './page_widgets.js';
import { commandOfFace, FaceView, pictureOfFace, saveFace } from './pictures.js';
import { removeKept } from './kept_faces.js';

const MAX_STRENGTH = 3; // at 1 the attribute is clearly visible
const MAX_UNDO = 200;

export function editPart() {
  const before = new FaceView('', { live: true });
  const after = new FaceView('', { live: true });
  const rows = new Map(); // direction -> slider
  const name = h('h2', {}, '');
  const earlier = []; // faces, for Undo
  let draggedFrom = null;
  const keepButton = button('Keep', () => (isKept(state.face) ? removeKept(state.face) : keep(state.face)), { class: 'main' });
  const undo = button('Undo', () => change({ face: earlier.pop() }), { title: 'Ctrl+Z' });
  const reset = button('Reset', () => { remember(state.face); change({ face: baseOf(state.face) }); }, { title: 'All sliders to zero' });
  const seed = seedField('Another seed', '', (number) => navigate({ face: String(number) }));

  function remember(face) { earlier.push(face); if (earlier.length > MAX_UNDO) earlier.shift(); }
  function sliderRow(direction) {
    const row = strengthSlider(readable(direction), {
      max: MAX_STRENGTH,
      oninput: (strength) => { draggedFrom ??= state.face; change({ face: withEdit(state.face, direction, Number(strength.toFixed(2))) }); },
      onchange: () => { if (draggedFrom) remember(draggedFrom); draggedFrom = null; draw(); },
    });
    rows.set(direction, row);
    return row.element;
  }
  const sliders = model.directions.length
    ? h('div', { class: 'sliders' }, model.directions.map(sliderRow))
    : h('p', { class: 'notice' }, 'This generator has no attribute directions. facesmith directions learns them from labeled faces.');
  const element = h('section', { class: 'part edit', 'aria-label': 'Edit' },
    heading('Change a face', 'Drag to change the face; 1 is a clear change. Tap a kept face to edit it.'),
    h('div', { class: 'columns' },
      h('div', { class: 'sticky pairing' }, name, h('div', { class: 'pair' },
        h('figure', { class: 'before' }, before.element, h('figcaption', {}, 'Before')),
        h('figure', { class: 'after' }, after.element, h('figcaption', {}, 'After')))),
      h('div', { class: 'panel' }, h('div', { class: 'row' }, keepButton, undo, reset), sliders, conditionSwitches(),
        h('div', { class: 'bar' }, varietySlider(), seed.element), pictureButtons(() => saveFace(state.face), () => commandOfFace(state.face)))));

  function draw() {
    if (state.part !== 'edit') return;
    const { edits } = readFace(state.face);
    const base = baseOf(state.face);
    after.show(pictureOfFace(state.face), `The face after: ${labelOf(state.face)}`);
    before.show(pictureOfFace(base), 'The face before');
    name.textContent = capitalized(labelOf(base));
    for (const [direction, row] of rows) row.set(edits[direction] ?? 0);
    keepButton.textContent = isKept(state.face) ? 'Kept ✓' : 'Keep';
    undo.disabled = !earlier.length;
    reset.disabled = !isEdited(state.face);
  }
  onChange((names) => names.some((each) => ['face', 'psi', 'kept', 'condition'].includes(each)) && draw());
  addEventListener('keydown', (event) => {
    if (state.part !== 'edit' || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || !earlier.length || event.target.matches('input:not([type=range])')) return;
    event.preventDefault();
    change({ face: earlier.pop() });
  });
  return {
    element, hint: 'Tap a face to edit it.', onKept: (face) => navigate({ face }),
    enter() {
      if (state.face === '0' && state.kept.length) change({ face: state.kept[0] });
      draw();
    },
    leave() { before.leave(); after.leave(); },
  };
}
