// One face and the model's directions: sliders that answer while they are dragged.

import { h, Picture, say } from './dom.js';
import { actions, head, notice, ofFace, show, variety } from './parts.js';
import { change, isKept, join, labelOf, onChange, parts, plain, state, toggle } from './state.js';

const REACH = 3; // strengths on the sliders; 1 is clearly there
const MOST_UNDO = 200;

export function edit(go) {
  const before = new Picture('Before');
  const after = new Picture('After');
  const undone = { back: [], forth: [] };
  const rows = new Map();
  const name = h('h2', {}, '');
  const keep = h('button', { type: 'button', class: 'main', onclick: () => say(toggle(face()) ? 'Kept' : 'Let go') }, 'Keep');
  const undo = h('button', { type: 'button', onclick: () => step('back', 'forth'), title: 'Ctrl+Z' }, 'Undo');
  const redo = h('button', { type: 'button', onclick: () => step('forth', 'back'), title: 'Ctrl+Shift+Z' }, 'Redo');
  const reset = h('button', { type: 'button', onclick: () => set({}) }, 'Reset');
  const back = h('button', { type: 'button', hidden: true, onclick: () => go('me') }, 'Back to the photo');
  const list = h('div', { class: 'sliders' });
  const seed = h('input', { type: 'number', min: '0', step: '1', inputmode: 'numeric', onchange: () => /^\d{1,18}$/.test(seed.value) && start(seed.value) });
  const desk = h('div', { class: 'desk' },
    h('div', { class: 'stick pairing' }, name,
      h('div', { class: 'pair' }, h('figure', {}, before.element, h('figcaption', {}, 'Before')), h('figure', {}, after.element, h('figcaption', {}, 'After')))),
    h('div', { class: 'panel' }, h('div', { class: 'row' }, keep, undo, redo, reset, back), sliders(), h('div', { class: 'bar' }, variety(), h('label', { class: 'field' }, h('span', {}, 'Another seed'), seed)),
      actions(() => ofFace(face()))));
  const element = h('section', { class: 'part', 'aria-label': 'Edit' },
    head('Change a face', 'Each slider adds so much of a direction to the face’s latent; 1 is clearly there. Choose another face among the kept ones below.'), desk);

  function sliders() {
    const names = state.model.directions;
    if (!names.length) {
      const why = state.model.directions_trouble ?? 'This generator has no directions yet. They are learnt from labelled faces, in some minutes:';
      return notice(why, state.model.make_directions);
    }
    for (const each of names) list.append(row(each));
    return list;
  }

  function row(each) {
    const output = h('span', { class: 'value', 'aria-hidden': 'true' }, '0.0');
    let from = null;
    const input = h('input', {
      type: 'range', min: String(-REACH), max: String(REACH), step: '0.1', value: '0', 'aria-label': plain(each),
      oninput: () => { from ??= edits(); apply({ ...edits(), [each]: Math.abs(input.value) < 0.05 ? 0 : Number(input.value) }); },
      onchange: () => { if (from) remember(from); from = null; },
      ondblclick: () => set({ ...edits(), [each]: 0 }),
    });
    const label = h('label', { class: 'slider', title: 'Double-click sets it back' }, plain(each), output, input);
    rows.set(each, (strength) => {
      if (document.activeElement !== input || Number(input.value) !== strength) input.value = String(strength);
      output.textContent = (strength > 0 ? '+' : strength < 0 ? '−' : '') + Math.abs(strength).toFixed(1);
      label.classList.toggle('set', strength !== 0);
    });
    return label;
  }

  const edits = () => state.edits[state.editing] ?? {};
  const face = () => join(state.editing, edits());

  function apply(wanted) {
    const left = Object.fromEntries(Object.entries(wanted).filter(([, strength]) => strength));
    change({ edits: { ...state.edits, [state.editing]: left } });
  }
  function remember(was) {
    undone.back.push(was);
    if (undone.back.length > MOST_UNDO) undone.back.shift();
    undone.forth = [];
    draw();
  }
  function set(wanted) {
    const was = edits();
    apply(wanted);
    remember(was);
  }
  function step(from, to) {
    if (!undone[from].length) return;
    undone[to].push(edits());
    apply(undone[from].pop());
  }
  function start(base, wanted) {
    undone.back = [];
    undone.forth = [];
    change({ editing: base, edits: wanted ? { ...state.edits, [base]: wanted } : state.edits });
  }

  function draw() {
    if (state.part !== 'edit' || !state.editing) return;
    show(before, state.editing, 'The face before');
    show(after, face(), `The face after: ${labelOf(face())}`);
    name.textContent = labelOf(state.editing).replace(/^./, (letter) => letter.toUpperCase());
    for (const [each, put] of rows) put(edits()[each] ?? 0);
    keep.textContent = isKept(face()) ? 'Kept ✓' : 'Keep';
    undo.disabled = !undone.back.length;
    redo.disabled = !undone.forth.length;
    reset.disabled = !Object.keys(edits()).length;
    back.hidden = !state.editing.startsWith('w.');
  }
  onChange((names) => names.some((each) => ['edits', 'editing', 'psi', 'kept'].includes(each)) && draw());
  addEventListener('keydown', (event) => {
    if (state.part !== 'edit' || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || event.target.matches('input[type=number]')) return;
    event.preventDefault();
    if (event.shiftKey) step('forth', 'back');
    else step('back', 'forth');
  });

  return {
    element,
    use: { hint: 'Click one to edit it.', empty: 'Keep faces, then edit them.', click: ({ face: chosen }) => { const { base, edits: held } = parts(chosen); start(base, held); }, current: () => face() },
    enter(item) {
      if (item) { const { base, edits: held } = parts(item.face); start(base, Object.keys(held).length ? held : undefined); }
      else if (!state.editing) start(parts(state.kept[0]?.face ?? String(state.first)).base);
      draw();
    },
    leave() { before.stop(); after.stop(); },
  };
}
