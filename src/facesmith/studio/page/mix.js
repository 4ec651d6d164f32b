// Sums and blends of kept faces, with the terms next to the result.

import { fillTrack, heading, whileBusy } from './controls.js';
import { descriptionLine } from './describe.js';
import { button, h, listDrawer } from './dom.js';
import { navigate } from './address.js';
import { sumText } from './face_text.js';
import { isKept, keep as keepFace, removeKept } from './kept.js';
import { showMessage, showRemoval } from './messages.js';
import { Picture } from './picture.js';
import { requestJson } from './server.js';
import { apiUrl, change, currentPsi, inEdit, labelOf, onChange, state, studio } from './state.js';
import { childrenPanel } from './variations.js';
import { formulaOf, linksOfSum, pictureButtons, showFace, varietySlider } from './widgets.js';

const MAX_TERMS = 8;

export function mixPart(signal) {
  const result = new Picture('The sum');
  const terms = h('ul', { class: 'terms', 'aria-label': 'Terms of the sum' });
  const slot = h('div', { class: 'slot' }, 'Tap a kept face, or drag it here');
  const formula = h('code', { class: 'small' }, '');
  const description = descriptionLine();
  const keep = button('Keep', () => whileBusy(keep, keepResult), { class: 'main' });
  const edit = button('Edit', () => whileBusy(edit, editResult));
  const layersPossible = studio.model.num_ws > 1;
  // A link may ask for layers of a model that has none.
  const mode = () => (state.mix === 'layers' && !layersPossible ? 'sum' : state.mix);
  const modes = [['sum', 'a − b + c'], ['blend', 'Blend'], ...(layersPossible ? [['layers', 'By layer']] : [])]
    .map(([mix, label]) => [mix, button(label, () => change({ mix }))]);
  const layerChoice = layersPossible ? layerFields(studio.model.num_ws) : null;
  const resultButtons = h('div', { class: 'part' }, h('div', { class: 'row' }, keep, edit), pictureButtons((scale) => linksOfSum(queryOf(state.terms), scale)));
  const outcome = h('div', { class: 'result' }, result.element, formula, description.element, resultButtons);
  const clear = button('Start over', clearTerms, { class: 'plain' });
  const hint = h('p', { class: 'small soft' });
  const sum = h('div', { class: 'sum', role: 'group', 'aria-label': 'Sum and result' }, h('div', { class: 'summands' }, terms, slot), h('span', { class: 'sign equals', 'aria-hidden': 'true' }, '='), outcome);
  const children = childrenPanel(signal);
  const element = h('section', { class: 'part mix', 'aria-label': 'Mix' },
    heading('Add and subtract faces', 'Start with a face, subtract a second one and add a third one. Or blend several faces into one.'),
    h('div', { class: 'bar' }, h('div', { class: 'choices', role: 'group', 'aria-label': 'How to mix' }, modes.map(([, each]) => each)), layerChoice, varietySlider(signal), clear), hint, sum, children.element);
  const cells = new WeakMap(); // element of a term -> its controls
  let keptResult = null; // {query, face} of the sum that was kept last

  // The weights of a blend add up to 1.
  function weighted(list) {
    if (mode() === 'layers') return list.slice(0, 2).map(({ face }) => ({ face, weight: 1 }));
    if (mode() !== 'blend') return list;
    const total = list.reduce((soFar, { weight }) => soFar + Math.abs(weight), 0);
    return list.map(({ face, weight }) => ({ face, weight: Math.abs(weight) / Math.max(1e-9, total) }));
  }
  const queryOf = (list) => ({ terms: sumText(weighted(list)), psi: currentPsi(), ...(mode() === 'layers' ? { layers: state.layers || defaultLayers() } : {}) });
  const defaultLayers = () => `0-${Math.max(0, Math.floor(studio.model.num_ws / 2) - 1)}`;

  function layerFields(count) {
    const field = (name) => h('select', { 'aria-label': name, onchange: () => {
      const range = selects.map((each) => Number(each.value)).sort((a, b) => a - b);
      change({ layers: range.join('-') });
    } }, Array.from({ length: count }, (_, layer) => h('option', { value: String(layer) }, String(layer))));
    const selects = [field('First layer of the second face'), field('Last layer of the second face')];
    const box = h('div', { class: 'field' }, h('span', {}, 'Layers of the second face'), h('div', { class: 'row' }, selects[0], 'to', selects[1]));
    box.title = 'Early layers set pose and shape, late layers set colors and details.';
    box.set = (text) => text.split('-').forEach((layer, place) => { selects[place].value = layer; });
    return box;
  }

  function add({ face }) {
    if (state.terms.length >= MAX_TERMS) return showMessage(`A mix has at most ${MAX_TERMS} faces.`);
    const weight = mode() === 'sum' && state.terms.length === 1 ? -1 : 1; // the first three become a − b + c
    change({ terms: [...state.terms, { face, weight }] });
    return showMessage(`Added ${labelOf(face)}`);
  }
  const withWeight = (place, weight) => state.terms.map((term, i) => (i === place ? { ...term, weight } : term));
  const setWeight = (place, weight) => change({ terms: withWeight(place, weight) });
  function removeTerm(place) {
    const before = state.terms;
    change({ terms: before.filter((_, i) => i !== place) });
    showRemoval(`Removed ${labelOf(before[place].face)}`, () => change({ terms: before }));
  }
  function clearTerms() {
    const before = state.terms;
    change({ terms: [] });
    showRemoval('All faces removed from the mix', () => change({ terms: before }));
  }

  function createTerm(term) {
    const picture = new Picture();
    const cell = { picture, place: 0, term };
    const weightText = () => `${labelOf(cell.term.face)} × ${Number(range.value).toFixed(1)}`;
    const caption = h('span', { class: 'small soft' });
    const range = h('input', { type: 'range', min: '0.1', max: '2', step: '0.1', 'data-control': 'weight',
      oninput: () => { cell.showWeight(); drawResult(withWeight(cell.place, withSign())); }, onchange: () => setWeight(cell.place, withSign()) });
    const withSign = () => Math.sign(cell.term.weight) * Number(range.value);
    const sign = button('+', () => setWeight(cell.place, -cell.term.weight), { class: 'sign', title: 'Plus or minus', 'data-control': 'sign' });
    const remove = button('Remove', () => removeTerm(cell.place), { class: 'plain', 'data-control': 'remove' });
    const termElement = h('li', { class: 'term' }, sign, picture.element, caption, range, remove);
    cell.showWeight = () => { caption.textContent = weightText(); range.setAttribute('aria-valuetext', Number(range.value).toFixed(1)); fillTrack(range, 0.1); };
    Object.assign(cell, { range, sign, remove });
    cells.set(termElement, cell);
    return termElement;
  }
  function updateTerm(termElement, term, place) {
    const cell = cells.get(termElement);
    Object.assign(cell, { term, place });
    const label = labelOf(term.face);
    showFace(cell.picture, term.face, label);
    cell.range.value = String(Math.abs(term.weight));
    cell.range.hidden = mode() === 'layers';
    cell.range.setAttribute('aria-label', `Weight of ${label}`);
    cell.showWeight();
    cell.remove.setAttribute('aria-label', `Remove ${label}`);
    const fixed = mode() !== 'sum';
    cell.sign.textContent = fixed ? (place ? '+' : '') : term.weight < 0 ? '−' : '+';
    cell.sign.setAttribute('aria-label', fixed ? `Plus ${label}` : `${term.weight < 0 ? 'Minus' : 'Plus'} ${label}; change the sign`);
    cell.sign.disabled = fixed;
  }
  const drawTerms = listDrawer(terms, { keyOf: ({ face }) => face, create: createTerm, update: updateTerm, fallback: () => document.querySelector('#tray-faces button') ?? clear });

  function drawResult(list = state.terms) {
    const ready = list.length > 1;
    const query = queryOf(list);
    formula.textContent = !ready ? '' : mode() === 'layers' ? `${formulaOf(list[0].face)} with layers ${query.layers} of ${formulaOf(list[1].face)}` : formulaOf(query.terms);
    if (ready) result.show(apiUrl('mix.png', { ...query, live: 1 }), `The result of ${formula.textContent}`);
    else result.clear();
  }

  function draw() {
    if (state.part !== 'mix') return;
    const ready = state.terms.length > 1;
    drawTerms(state.terms);
    slot.hidden = state.terms.length >= 3;
    for (const [mix, each] of modes) each.setAttribute('aria-pressed', String(mode() === mix));
    if (layerChoice) {
      layerChoice.hidden = mode() !== 'layers';
      layerChoice.set(state.layers || defaultLayers());
    }
    hint.textContent = !ready ? 'A mix needs two faces or more. Tap kept faces below.'
      : { sum: 'Tap a sign to change it. The sliders set the weight of each face.', blend: 'The sliders set the weight of each face.', layers: 'The first face, with some layers of the second one.' }[mode()];
    resultButtons.style.visibility = ready ? 'visible' : 'hidden';
    clear.hidden = !state.terms.length;
    sum.classList.toggle('empty', !ready);
    drawResult();
    if (ready) description.draw(resultFace);
    markKept();
    children.draw(state.terms);
  }
  const isResultKept = () => keptResult?.query === JSON.stringify(queryOf(state.terms)) && isKept(keptResult.face);
  function markKept() { keep.textContent = isResultKept() ? 'Kept ✓' : 'Keep'; }

  // The face that the sum makes, as text.
  const resultFace = async (signal) => (await requestJson(apiUrl('mix.json', queryOf(state.terms)), { signal })).face;
  async function keepResult() {
    if (isResultKept()) { removeKept(keptResult.face); return; }
    const [query, label] = [JSON.stringify(queryOf(state.terms)), formula.textContent];
    const face = await resultFace();
    showMessage(isKept(face) ? 'This face is kept already' : `Kept: ${label}`);
    keptResult = { query, face };
    keepFace(face, label);
    markKept();
  }
  async function editResult() {
    navigate(inEdit(await resultFace()));
  }

  sum.addEventListener('dragover', (event) => { event.preventDefault(); sum.classList.add('over'); });
  sum.addEventListener('dragleave', () => sum.classList.remove('over'));
  sum.addEventListener('drop', (event) => {
    sum.classList.remove('over');
    const item = studio.kept.find(({ face }) => face === event.dataTransfer.getData('text/plain'));
    if (!item) return; // such as a file
    event.preventDefault();
    add(item);
  });
  onChange((names) => {
    if (names.some((each) => ['terms', 'mix', 'layers', 'psi'].includes(each))) draw();
    else if (names.includes('kept')) markKept();
  }, signal);

  return {
    element,
    tray: { hint: 'Tap a face to add it.', emptyHint: 'Keep faces, then mix them.', onClick: add },
    enter: draw,
    leave() { result.stop(); children.stop(); },
  };
}
