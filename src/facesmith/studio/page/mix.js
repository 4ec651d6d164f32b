// Sums and blends of kept faces; the terms stay visible beside the result.

import { askJson, h, Picture, say } from './dom.js';
import { actions, head, ofSum, show, variety } from './parts.js';
import { apiUrl, change, labelOf, onChange, state, toggle } from './state.js';

const MOST = 8;

export function mix() {
  const result = new Picture('The sum');
  const sum = h('div', { class: 'sum', role: 'group', 'aria-label': 'Terms of the sum' });
  const slot = h('div', { class: 'slot' }, 'Click a kept face, or drag it here');
  const formula = h('code', { class: 'small' }, '');
  const keep = h('button', { type: 'button', class: 'main', onclick: keepIt }, 'Keep');
  const kinds = [['a − b + c', false], ['Blend', true]].map(([words, blend]) => h('button', { type: 'button', 'aria-pressed': String(state.blend === blend), onclick: () => change({ blend }) }, words));
  const below = h('div', { class: 'row' }, keep, actions(() => ofSum(text())));
  const outcome = h('div', { class: 'result' }, result.element, formula, below);
  const clear = h('button', { type: 'button', class: 'plain', onclick: () => change({ terms: [] }) }, 'Start over');
  const told = h('p', { class: 'small soft' });
  const element = h('section', { class: 'part', 'aria-label': 'Mix' },
    head('Add and subtract faces', 'Take a face, take away what a second one has, add what a third one has; or blend several into one.'),
    h('div', { class: 'bar' }, h('div', { class: 'choices', role: 'group', 'aria-label': 'How to mix' }, kinds), variety(), clear), told, sum);
  const shown = new Map(); // place -> {picture}

  const weight = (term) => (state.blend ? Math.abs(term.weight) / Math.max(1e-9, state.terms.reduce((total, { weight: each }) => total + Math.abs(each), 0)) : term.weight);
  function text() {
    return state.terms.map((term, i) => {
      const number = weight(term);
      const size = Math.abs(number) === 1 ? '' : `${Number(Math.abs(number).toFixed(3))}*`;
      return `${number < 0 ? '-' : i ? '+' : ''}${size}${term.face}`;
    }).join('');
  }

  function add({ face, label }) {
    if (state.terms.length >= MOST) return say(`${MOST} terms are the most.`);
    const sign = !state.blend && state.terms.length === 1 ? -1 : 1; // the first three make a − b + c
    change({ terms: [...state.terms, { face, label, weight: sign }] });
    return say(`${label} added`);
  }
  const put = (place, what) => change({ terms: state.terms.map((term, i) => (i === place ? { ...term, ...what } : term)) });

  function cell(term, place) {
    if (!shown.has(place)) shown.set(place, new Picture());
    const picture = shown.get(place);
    show(picture, term.face, term.label);
    const number = Math.abs(term.weight);
    const range = h('input', { type: 'range', min: '0.1', max: '2', step: '0.1', value: String(number), 'aria-label': `How much of ${term.label}`,
      oninput: () => { words.textContent = amount(); live(place, Math.sign(term.weight) * Number(range.value)); }, onchange: () => put(place, { weight: Math.sign(term.weight) * Number(range.value) }) });
    const amount = () => `${term.label} × ${Number(range.value).toFixed(1)}`;
    const words = h('span', { class: 'small soft' }, amount());
    return h('div', { class: 'term' }, picture.element, words, range,
      h('button', { type: 'button', class: 'plain', 'aria-label': `Take ${term.label} out`, onclick: () => change({ terms: state.terms.filter((_, i) => i !== place) }) }, 'Take out'));
  }
  const sign = (term, place) => (state.blend
    ? h('span', { class: 'sign', 'aria-hidden': 'true' }, place ? '+' : '')
    : h('button', { type: 'button', class: 'sign', title: 'Plus or minus', 'aria-label': `${term.weight < 0 ? 'Minus' : 'Plus'} ${term.label}; change the sign`, onclick: () => put(place, { weight: -term.weight }) }, term.weight < 0 ? '−' : '+'));

  function live(place, number) { // while dragging: only the result changes
    const held = state.terms;
    state.terms = held.map((term, i) => (i === place ? { ...term, weight: number } : term));
    drawResult();
    state.terms = held;
  }
  function drawResult() {
    const ready = state.terms.length > 1;
    formula.textContent = ready ? words() : '';
    if (ready) result.show(apiUrl('mix.png', { terms: text(), psi: state.psi, live: 1 }), `The result of ${words()}`);
    else result.clear();
  }
  const words = () => text().replace(/w\.[\w.]+/g, 'found').replaceAll('-', ' − ').replaceAll('+', ' + ').replaceAll('*', ' × ');

  function draw() {
    if (state.part !== 'mix') return;
    sum.replaceChildren(...state.terms.flatMap((term, place) => [sign(term, place), cell(term, place)]), ...(state.terms.length < 3 ? [slot] : []),
      h('span', { class: 'sign equals', 'aria-hidden': 'true' }, '='), outcome);
    kinds.forEach((button, i) => button.setAttribute('aria-pressed', String(state.blend === Boolean(i))));
    told.textContent = state.terms.length > 1 ? 'Click a sign to turn it; the sliders say how much of each.' : 'Two faces or more make a mix. Keep some on the wall first, if there are none below.';
    below.style.visibility = state.terms.length < 2 ? 'hidden' : 'visible';
    clear.hidden = !state.terms.length;
    sum.classList.toggle('empty', state.terms.length < 2);
    drawResult();
  }

  async function keepIt() {
    try {
      const { face } = await askJson(apiUrl('mix.json', { terms: text(), psi: state.psi }));
      toggle(face, words());
      say('The mix is kept');
    } catch (error) { say(error.message); }
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
    use: { hint: 'Click one to add it.', empty: 'Keep faces, then mix them.', click: add },
    enter(item) { if (item) add({ label: labelOf(item.face), ...item }); draw(); },
    leave() { result.stop(); for (const picture of shown.values()) picture.stop(); },
  };
}
