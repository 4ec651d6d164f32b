// Sums and blends of kept faces, with the terms next to the result.

import { h, Picture, requestJson, showMessage } from './dom.js';
import { apiUrl, change, labelOf, onChange, state, toggleKept } from './state.js';
import { heading, linksOfSum, pictureButtons, shortenLatents, showFace, varietySlider } from './widgets.js';

const MAX_TERMS = 8;

export function mixPart() {
  const result = new Picture('The sum');
  const sum = h('div', { class: 'sum', role: 'group', 'aria-label': 'Terms of the sum' });
  const slot = h('div', { class: 'slot' }, 'Click a kept face, or drag it here');
  const formula = h('code', { class: 'small' }, '');
  const keep = h('button', { type: 'button', class: 'main', onclick: keepResult }, 'Keep');
  const modes = [['a − b + c', false], ['Blend', true]].map(([label, blend]) => h('button', { type: 'button', 'aria-pressed': String(state.blend === blend), onclick: () => change({ blend }) }, label));
  const resultButtons = h('div', { class: 'row' }, keep, pictureButtons(() => linksOfSum(sumText())));
  const outcome = h('div', { class: 'result' }, result.element, formula, resultButtons);
  const clear = h('button', { type: 'button', class: 'plain', onclick: () => change({ terms: [] }) }, 'Start over');
  const hint = h('p', { class: 'small soft' });
  const element = h('section', { class: 'part', 'aria-label': 'Mix' },
    heading('Add and subtract faces', 'Start with a face, subtract a second one and add a third one. Or blend several faces into one.'),
    h('div', { class: 'bar' }, h('div', { class: 'choices', role: 'group', 'aria-label': 'How to mix' }, modes), varietySlider(), clear), hint, sum);
  const pictures = []; // of the terms, by place

  function weightOf(term) {
    if (!state.blend) return term.weight;
    const total = state.terms.reduce((soFar, { weight }) => soFar + Math.abs(weight), 0);
    return Math.abs(term.weight) / Math.max(1e-9, total);
  }
  function sumText() {
    return state.terms.map((term, i) => {
      const weight = weightOf(term);
      const factor = Math.abs(weight) === 1 ? '' : `${Number(Math.abs(weight).toFixed(3))}*`;
      return `${weight < 0 ? '-' : i ? '+' : ''}${factor}${term.face}`;
    }).join('');
  }
  const formulaText = () => shortenLatents(sumText()).replaceAll('-', ' − ').replaceAll('+', ' + ').replaceAll('*', ' × ');

  function add({ face, label }) {
    if (state.terms.length >= MAX_TERMS) return showMessage(`A mix has at most ${MAX_TERMS} faces.`);
    const weight = !state.blend && state.terms.length === 1 ? -1 : 1; // the first three become a − b + c
    change({ terms: [...state.terms, { face, label, weight }] });
    return showMessage(`Added ${label}`);
  }
  const withWeight = (place, weight) => state.terms.map((term, i) => (i === place ? { ...term, weight } : term));
  const setWeight = (place, weight) => change({ terms: withWeight(place, weight) });

  function termCell(term, place) {
    const picture = (pictures[place] ??= new Picture());
    showFace(picture, term.face, term.label);
    const signed = () => Math.sign(term.weight) * Number(range.value);
    const range = h('input', { type: 'range', min: '0.1', max: '2', step: '0.1', value: String(Math.abs(term.weight)), 'aria-label': `Weight of ${term.label}`,
      oninput: () => { caption.textContent = captionText(); previewWeight(place, signed()); }, onchange: () => setWeight(place, signed()) });
    const captionText = () => `${term.label} × ${Number(range.value).toFixed(1)}`;
    const caption = h('span', { class: 'small soft' }, captionText());
    return h('div', { class: 'term' }, picture.element, caption, range,
      h('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${term.label}`, onclick: () => change({ terms: state.terms.filter((_, i) => i !== place) }) }, 'Remove'));
  }
  const sign = (term, place) => (state.blend
    ? h('span', { class: 'sign', 'aria-hidden': 'true' }, place ? '+' : '')
    : h('button', { type: 'button', class: 'sign', title: 'Plus or minus', 'aria-label': `${term.weight < 0 ? 'Minus' : 'Plus'} ${term.label}; change the sign`, onclick: () => setWeight(place, -term.weight) }, term.weight < 0 ? '−' : '+'));

  function previewWeight(place, weight) { // while the slider is dragged: redraw the result only, so that the slider stays
    const terms = state.terms;
    state.terms = withWeight(place, weight);
    drawResult();
    state.terms = terms;
  }
  function drawResult() {
    const ready = state.terms.length > 1;
    formula.textContent = ready ? formulaText() : '';
    if (ready) result.show(apiUrl('mix.png', { terms: sumText(), psi: state.psi, live: 1 }), `The result of ${formulaText()}`);
    else result.clear();
  }

  function draw() {
    if (state.part !== 'mix') return;
    const ready = state.terms.length > 1;
    sum.replaceChildren(...state.terms.flatMap((term, place) => [sign(term, place), termCell(term, place)]), ...(state.terms.length < 3 ? [slot] : []),
      h('span', { class: 'sign equals', 'aria-hidden': 'true' }, '='), outcome);
    modes.forEach((button, i) => button.setAttribute('aria-pressed', String(state.blend === Boolean(i))));
    hint.textContent = ready ? `${state.blend ? '' : 'Click a sign to change it. '}The sliders set the weight of each face.` : 'A mix needs two faces or more. Click kept faces below.';
    resultButtons.style.visibility = ready ? 'visible' : 'hidden';
    clear.hidden = !state.terms.length;
    sum.classList.toggle('empty', !ready);
    drawResult();
  }

  async function keepResult() {
    try {
      const { face } = await requestJson(apiUrl('mix.json', { terms: sumText(), psi: state.psi }));
      toggleKept(face, formulaText());
      showMessage('Kept');
    } catch (error) { showMessage(error.message); }
  }

  sum.addEventListener('dragover', (event) => { event.preventDefault(); sum.classList.add('over'); });
  sum.addEventListener('dragleave', () => sum.classList.remove('over'));
  sum.addEventListener('drop', (event) => {
    event.preventDefault();
    sum.classList.remove('over');
    const item = state.kept.find(({ face }) => face === event.dataTransfer.getData('text/plain'));
    if (item) add(item);
  });
  onChange((names) => names.some((each) => ['terms', 'blend', 'psi'].includes(each)) && draw());

  return {
    element,
    tray: { hint: 'Click a face to add it.', emptyHint: 'Keep faces, then mix them.', onClick: add },
    enter(item) { if (item) add({ label: labelOf(item.face), ...item }); draw(); },
    leave() { result.stop(); for (const picture of pictures) picture.stop(); },
  };
}
