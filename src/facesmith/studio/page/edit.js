// One face, and a slider for each attribute direction of the model.

import { h, Picture, showMessage } from './dom.js';
import { change, faceText, isKept, isLatent, labelOf, onChange, parseFace, readable, state, toggleKept } from './state.js';
import { capitalized } from './tray.js';
import { heading, linksOfFace, notice, pictureButtons, showFace, varietySlider } from './widgets.js';

const MAX_STRENGTH = 3; // at 1 the attribute is clearly visible
const MAX_UNDO = 200;

export function editPart(openPart) {
  const before = new Picture('Before');
  const after = new Picture('After');
  const undoHistory = { undo: [], redo: [] }; // lists of edits
  const rowSetters = new Map(); // direction -> function that shows its strength
  const name = h('h2', {}, '');
  const keep = h('button', { type: 'button', class: 'main', onclick: () => showMessage(toggleKept(face()) ? 'Kept' : 'Removed') }, 'Keep');
  const undo = h('button', { type: 'button', onclick: () => step('undo', 'redo'), title: 'Ctrl+Z' }, 'Undo');
  const redo = h('button', { type: 'button', onclick: () => step('redo', 'undo'), title: 'Ctrl+Shift+Z' }, 'Redo');
  const reset = h('button', { type: 'button', onclick: () => replaceEdits({}) }, 'Reset');
  const back = h('button', { type: 'button', hidden: true, onclick: () => openPart('me') }, 'Back to the photo');
  const seed = h('input', { type: 'number', min: '0', step: '1', inputmode: 'numeric', onchange: () => /^\d{1,10}$/.test(seed.value) && startEditing(seed.value) });
  const columns = h('div', { class: 'columns' },
    h('div', { class: 'sticky pairing' }, name,
      h('div', { class: 'pair' }, h('figure', {}, before.element, h('figcaption', {}, 'Before')), h('figure', {}, after.element, h('figcaption', {}, 'After')))),
    h('div', { class: 'panel' }, h('div', { class: 'row' }, keep, undo, redo, reset, back), sliders(), h('div', { class: 'bar' }, varietySlider(), h('label', { class: 'field' }, h('span', {}, 'Another seed'), seed)),
      pictureButtons(() => linksOfFace(face()))));
  const element = h('section', { class: 'part', 'aria-label': 'Edit' },
    heading('Change a face', 'Each slider changes one attribute. At 1 it is clearly visible. Click a kept face below to edit another one.'), columns);

  function sliders() {
    if (!state.model.directions.length) {
      const reason = state.model.directions_error ?? 'This generator has no attribute directions yet. Learn them from labeled faces; it takes a few minutes:';
      return notice(reason, state.model.directions_command);
    }
    return h('div', { class: 'sliders' }, state.model.directions.map(sliderRow));
  }

  function sliderRow(direction) {
    const output = h('span', { class: 'value', 'aria-hidden': 'true' }, '0.0');
    let editsBeforeDrag = null;
    const input = h('input', {
      type: 'range', min: String(-MAX_STRENGTH), max: String(MAX_STRENGTH), step: '0.1', value: '0', 'aria-label': readable(direction),
      oninput: () => { editsBeforeDrag ??= edits(); showEdits({ ...edits(), [direction]: Math.abs(input.value) < 0.05 ? 0 : Number(input.value) }); },
      onchange: () => { if (editsBeforeDrag) remember(editsBeforeDrag); editsBeforeDrag = null; },
      ondblclick: () => replaceEdits({ ...edits(), [direction]: 0 }),
    });
    const label = h('label', { class: 'slider', title: 'Double-click to reset' }, readable(direction), output, input);
    rowSetters.set(direction, (strength) => {
      if (document.activeElement !== input || Number(input.value) !== strength) input.value = String(strength);
      output.textContent = (strength > 0 ? '+' : strength < 0 ? '−' : '') + Math.abs(strength).toFixed(1);
      label.classList.toggle('set', strength !== 0);
    });
    return label;
  }

  const edits = () => state.edits[state.editing] ?? {};
  const face = () => faceText(state.editing, edits());

  function showEdits(newEdits) {
    const nonzero = Object.fromEntries(Object.entries(newEdits).filter(([, strength]) => strength));
    change({ edits: { ...state.edits, [state.editing]: nonzero } });
  }
  function remember(previousEdits) {
    undoHistory.undo.push(previousEdits);
    if (undoHistory.undo.length > MAX_UNDO) undoHistory.undo.shift();
    undoHistory.redo = [];
    draw();
  }
  function replaceEdits(newEdits) {
    const previousEdits = edits();
    showEdits(newEdits);
    remember(previousEdits);
  }
  function step(from, to) {
    if (!undoHistory[from].length) return;
    undoHistory[to].push(edits());
    showEdits(undoHistory[from].pop());
  }
  function startEditing(base, newEdits) {
    undoHistory.undo = [];
    undoHistory.redo = [];
    change({ editing: base, edits: newEdits ? { ...state.edits, [base]: newEdits } : state.edits });
  }

  function draw() {
    if (state.part !== 'edit' || !state.editing) return;
    showFace(before, state.editing, 'The face before');
    showFace(after, face(), `The face after: ${labelOf(face())}`);
    name.textContent = capitalized(labelOf(state.editing));
    for (const [direction, setRow] of rowSetters) setRow(edits()[direction] ?? 0);
    keep.textContent = isKept(face()) ? 'Kept ✓' : 'Keep';
    undo.disabled = !undoHistory.undo.length;
    redo.disabled = !undoHistory.redo.length;
    reset.disabled = !Object.keys(edits()).length;
    back.hidden = !isLatent(state.editing);
  }
  onChange((names) => names.some((each) => ['edits', 'editing', 'psi', 'kept'].includes(each)) && draw());
  addEventListener('keydown', (event) => {
    if (state.part !== 'edit' || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || event.target.matches('input[type=number]')) return;
    event.preventDefault();
    if (event.shiftKey) step('redo', 'undo');
    else step('undo', 'redo');
  });

  return {
    element,
    tray: {
      hint: 'Click a face to edit it.', emptyHint: 'Keep faces, then edit them.', currentFace: face,
      onClick(item) { const { base, edits: itemEdits } = parseFace(item.face); startEditing(base, itemEdits); },
    },
    enter(item) {
      if (item) {
        const { base, edits: itemEdits } = parseFace(item.face);
        startEditing(base, Object.keys(itemEdits).length ? itemEdits : undefined);
      } else if (!state.editing) startEditing(parseFace(state.kept[0]?.face ?? String(state.first)).base);
      draw();
    },
    leave() { before.stop(); after.stop(); },
  };
}
