// Sums and blends of kept faces, with the terms next to the result.

import { fillTrack, heading } from './controls.js';
import { button, h, listDrawer } from './dom.js';
import { sumText } from './face_text.js';
import { removeKept } from './kept_faces.js';
import { showMessage } from './messages.js';
import { describeSum, MAX_TERMS } from './page_faces.js';
import { change, isKept, isOurs, keep, labelOf, onChange, state } from './page_state.js';
import { conditionSwitches, pictureButtons, varietySlider } from './page_widgets.js';
import { commandOfSum, FaceView, pictureOfFace, pictureOfSum, saveSum } from './pictures.js';

export function mixPart() {
  const result = new FaceView('', { live: true });
  const list = h('ul', { class: 'terms', 'aria-label': 'Terms of the sum' });
  const formula = h('code', { class: 'small' }, '');
  const cells = new WeakMap(); // element of a term -> its controls
  const modes = [['sum', 'a − b + c'], ['blend', 'Blend']].map(([mix, label]) => [mix, button(label, () => change({ mix }))]);
  const keepButton = button('Keep', keepSum, { class: 'main', title: 'Keep the result as a face, to edit it or to add it again' });
  const slot = h('div', { class: 'slot' }, 'Tap a kept face');
  const outcome = h('div', { class: 'result' }, result.element, formula, keepButton, pictureButtons(() => saveSum(weighted()), () => commandOfSum(weighted())));
  const sum = h('div', { class: 'sum', role: 'group', 'aria-label': 'Sum and result' }, h('div', { class: 'summands' }, list, slot), h('span', { class: 'sign equals', 'aria-hidden': 'true' }, '='), outcome);
  const element = h('section', { class: 'part mix', 'aria-label': 'Mix' },
    heading('Add and subtract faces', 'Start with a face, subtract a second one and add a third one. Or blend several faces into one.'),
    h('div', { class: 'bar' }, h('div', { class: 'choices', role: 'group', 'aria-label': 'How to mix' }, modes.map(([, each]) => each)), varietySlider(),
      button('Start over', () => change({ terms: [] }), { class: 'plain' })), conditionSwitches(), sum);

  // The weights of a blend are positive and add up to 1.
  function weighted() {
    if (state.mix !== 'blend') return state.terms;
    const total = state.terms.reduce((all, { weight }) => all + Math.abs(weight), 0);
    return state.terms.map(({ face, weight }) => ({ face, weight: Number((Math.abs(weight) / Math.max(1e-9, total)).toFixed(3)) }));
  }
  // The result as one face.
  function faceOfSum() {
    const terms = weighted();
    return terms.length === 1 && terms[0].weight === 1 ? terms[0].face : `(${sumText(terms)})`;
  }
  function keepSum() {
    const face = faceOfSum();
    if (isKept(face)) removeKept(face);
    else if (isOurs(face)) keep(face);
    else showMessage('This sum has too many sums within it to be kept.');
  }
  const replace = (place, values) => change({ terms: state.terms.map((term, i) => (i === place ? { ...term, ...values } : term)) });

  const drawTerms = listDrawer(list, {
    keyOf: ({ face }) => face,
    create({ face }) {
      const view = new FaceView(labelOf(face));
      const controls = { view, place: 0 };
      controls.sign = button('+', () => replace(controls.place, { weight: -state.terms[controls.place].weight }), { class: 'sign', 'data-control': 'sign' });
      controls.range = h('input', { type: 'range', min: '0.1', max: '2', step: '0.1', 'aria-label': `Weight of ${labelOf(face)}`, 'data-control': 'weight',
        oninput: () => replace(controls.place, { weight: Number(controls.range.value) * (state.terms[controls.place].weight < 0 ? -1 : 1) }) });
      controls.label = h('span', { class: 'small' });
      const remove = button('Remove', () => change({ terms: state.terms.filter((_, i) => i !== controls.place) }), { class: 'plain small', 'data-control': 'remove', 'aria-label': `Remove ${labelOf(face)} from the sum` });
      const cell = h('li', { class: 'term' }, controls.sign, view.element, controls.label, controls.range, remove);
      cells.set(cell, controls);
      return cell;
    },
    update(cell, { face, weight }, place) {
      const controls = cells.get(cell);
      const isBlend = state.mix === 'blend';
      controls.place = place;
      controls.sign.textContent = isBlend ? (place ? '+' : '') : weight < 0 ? '−' : '+';
      controls.sign.disabled = isBlend;
      controls.sign.setAttribute('aria-label', `${weight < 0 ? 'Minus' : 'Plus'} ${labelOf(face)}: change the sign`);
      controls.range.value = String(Math.abs(weight));
      fillTrack(controls.range, 0.1);
      controls.label.textContent = `${labelOf(face)} × ${Math.abs(weight)}`;
      controls.view.show(pictureOfFace(face));
    },
    fallback: () => document.getElementById('main'),
  });

  function draw() {
    if (state.part !== 'mix') return;
    drawTerms(state.terms);
    for (const [mix, each] of modes) each.setAttribute('aria-pressed', String(state.mix === mix));
    sum.classList.toggle('empty', !state.terms.length);
    slot.hidden = state.terms.length >= MAX_TERMS;
    slot.textContent = state.kept.length ? 'Tap a kept face' : 'Keep faces on the wall first';
    const text = describeSum(weighted());
    formula.textContent = text;
    keepButton.textContent = isKept(faceOfSum()) ? 'Kept ✓' : 'Keep';
    if (state.terms.length) result.show(pictureOfSum(weighted()), `The result: ${text}`);
  }
  onChange((names) => names.some((each) => ['terms', 'mix', 'psi', 'kept', 'condition'].includes(each)) && draw());

  return {
    element, hint: 'Tap a face to add it to the sum.',
    onKept(face) {
      if (state.terms.length >= MAX_TERMS || state.terms.some((term) => term.face === face)) return;
      change({ terms: [...state.terms, { face, weight: state.mix === 'sum' && state.terms.length === 1 ? -1 : 1 }] });
    },
    enter: draw,
    leave() { result.leave(); },
  };
}
