// Controls and other elements that know nothing of the studio. Pages of facesmith export --html use them, too.

import { button, h } from './dom.js';
import { MAX_SEED } from './face_text.js';
import { showMessage } from './messages.js';

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

// Downloads a blob as a file.
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
