// Widgets that several parts of the page share.

import { button, h } from './dom.js';
import { fileName, isLatent, MAX_SEED, shortenLatents } from './face_text.js';
import { copy, showMessage } from './messages.js';
import { requestBlob, requestJson } from './server.js';
import { apiUrl, change, faceQuery, faceUrl, labelOf, onChange, state, studio } from './state.js';

// A slider with its value. The track is filled from `center` to the thumb.
export function slider(name, { min, max, step, value, center = min, format = String, title, oninput, onchange }) {
  const output = h('span', { class: 'value', 'aria-hidden': 'true' });
  const input = h('input', {
    type: 'range', min: String(min), max: String(max), step: String(step), value: String(value), title, 'aria-label': name,
    oninput: () => { show(); oninput?.(Number(input.value)); },
    onchange: () => onchange?.(Number(input.value)),
  });
  const element = h('label', { class: 'field' }, h('span', {}, name, output), input);
  const show = () => {
    output.textContent = format(Number(input.value));
    input.setAttribute('aria-valuetext', output.textContent);
    fillTrack(input, center);
  };
  const set = (newValue) => { input.value = String(newValue); show(); };
  show();
  return { element, input, set };
}

// Fills the track of a slider from `center` to its value.
export function fillTrack(input, center) {
  const [low, high] = [Number(input.min), Number(input.max)];
  const share = (value) => (100 * (Math.max(low, Math.min(high, value)) - low)) / Math.max(1e-9, high - low);
  const [from, to] = [share(center), share(Number(input.value))].sort((a, b) => a - b);
  input.style.setProperty('--from', `${from}%`);
  input.style.setProperty('--to', `${to}%`);
}

// A slider around zero, with a field for the exact number and a button that resets it.
//   oninput(value): while it is dragged.  onchange(value): afterwards.
export function strengthSlider(name, { max, label = name, oninput, onchange }) {
  const range = h('input', {
    type: 'range', min: String(-max), max: String(max), step: '0.1', value: '0', 'aria-label': name,
    oninput: () => oninput(Math.abs(range.value) < 0.05 ? 0 : Number(range.value)), onchange: () => onchange(),
  });
  const exact = h('input', {
    type: 'number', step: '0.1', value: '0', 'aria-label': `${name}, exact strength`,
    onchange: () => {
      const strength = Math.max(-10, Math.min(10, Number(exact.value) || 0));
      oninput(strength);
      onchange();
      exact.value = String(strength);
    },
  });
  const reset = button('↺', () => { oninput(0); onchange(); range.focus(); }, { class: 'reset', 'aria-label': `Reset ${name}`, title: 'Reset' });
  const element = h('div', { class: 'slider' }, h('span', { class: 'name', 'aria-hidden': 'true' }, label), reset, exact, range);
  const set = (strength) => {
    if (Number(range.value) !== strength) range.value = String(strength);
    if (document.activeElement !== exact) exact.value = String(strength);
    range.setAttribute('aria-valuetext', strength.toFixed(1));
    element.classList.toggle('set', strength !== 0);
    fillTrack(range, 0);
  };
  set(0);
  return { element, set };
}

// The slider for psi. All parts of the page share its value.
export function varietySlider(signal) {
  const { psi_min: min, psi_max: max } = studio.model;
  const variety = slider('Variety', {
    min, max, step: 0.05, value: state.psi, center: Math.max(min, 0), format: (psi) => psi.toFixed(2),
    title: 'Truncation (psi): 0 is the average face, 1 gives the most varied faces', oninput: (psi) => change({ psi }),
  });
  onChange((names) => names.includes('psi') && variety.set(state.psi), signal);
  return variety.element;
}

// A field for a seed. It refuses what is not a seed, and says what a seed is.
export function seedField(name, value, onSeed) {
  const input = h('input', { type: 'text', inputmode: 'numeric', value, autocomplete: 'off', onchange: () => {
    const isSeed = /^\d{1,10}$/.test(input.value.trim()) && Number(input.value) <= MAX_SEED;
    input.setAttribute('aria-invalid', String(!isSeed));
    if (isSeed) onSeed(Number(input.value));
    else showMessage(`A seed is a whole number from 0 to ${MAX_SEED}.`);
  } });
  const set = (seed) => { input.value = String(seed); input.removeAttribute('aria-invalid'); };
  return { element: h('label', { class: 'field seed-field' }, h('span', {}, name), input), set };
}

export function heading(title, text) {
  return h('div', { class: 'head' }, h('h1', {}, title), h('p', { class: 'soft' }, text));
}

export function notice(text, command) {
  return h('div', { class: 'notice' }, h('p', {}, text), command && h('div', { class: 'row' }, h('pre', {}, command), button('Copy', () => copy(command, 'Command'))));
}

// Downloads what a URL returns. Returns whether it could.
export async function download(url, name) {
  try {
    save(await requestBlob(url), name);
    return true;
  } catch (error) { showMessage(error.message); return false; }
}
export function save(blob, name) {
  const objectUrl = URL.createObjectURL(blob);
  h('a', { href: objectUrl, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(objectUrl), 10_000);
}

// Runs a task that takes a while. Until it ends, its button is disabled, so a double click starts it once.
export async function whileBusy(busyButton, task) {
  if (busyButton.ariaDisabled === 'true') return;
  busyButton.ariaDisabled = 'true';
  try { await task(); } catch (error) { if (error.name !== 'AbortError') showMessage(error.message); }
  busyButton.ariaDisabled = null;
}

// A list of sizes for downloads. Its value is the factor.
export function sizeChoice() {
  const { resolution } = studio.model;
  const text = (times) => (times === 1 ? `${resolution} px` : `${resolution * times} px (${times}×)`);
  return h('select', { 'aria-label': 'Size of the download', title: 'Enlarged pictures are computed with a Lanczos filter. They show no more detail.' },
    [1, 2, 4].map((times) => h('option', { value: String(times) }, text(times))));
}

// Buttons to download a picture, and to copy the code that draws it. `links(scale)` returns {png, json, name}.
export function pictureButtons(links) {
  const copyCode = (kind, name) => async () => {
    try {
      const code = await requestJson(links(1).json);
      if (code[kind]) await copy(code[kind], name);
      else showMessage('No command can draw this picture. Copy the Python code instead.');
    } catch (error) { showMessage(error.message); }
  };
  const scale = sizeChoice();
  const downloadButton = button('Download', () => whileBusy(downloadButton, () => {
    const { png, name } = links(Number(scale.value));
    return download(png, scale.value === '1' ? name : name.replace('.png', `-${scale.value}x.png`));
  }));
  return h('div', { class: 'row' }, h('span', { class: 'joined' }, downloadButton, scale),
    button('Copy command', copyCode('command', 'Command'), { title: 'The command that draws this picture' }),
    button('Copy Python', copyCode('python', 'Python code'), { title: 'The Python code that draws this picture' }));
}

const scaled = (scale) => (scale > 1 ? { scale } : {});
export const linksOfFace = (face, scale) => ({ png: faceUrl(face, scaled(scale)), json: apiUrl('face.json', faceQuery(face)), name: fileName(labelOf(face), 'png') });
export const linksOfSum = (query, scale) => ({ png: apiUrl('mix.png', { ...query, ...scaled(scale) }), json: apiUrl('mix.json', query), name: fileName(query.terms, 'png') });
export const showFace = (picture, face, label = labelOf(face), query = {}) => picture.show(faceUrl(face, query), label);
export const formulaOf = (terms) => shortenLatents(terms).replaceAll('-', ' − ').replaceAll('+', ' + ').replaceAll('*', ' × ').trim();
export const aboutFace = (face) => `A synthetic picture${isLatent(face) ? '' : ' of a person who does not exist'}. The downloaded file says so and contains how it was made.`;
