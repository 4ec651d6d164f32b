// Widgets that several parts of the page share.

import { copy, h, request, requestJson, showMessage } from './dom.js';
import { apiUrl, change, faceUrl, isLatent, labelOf, onChange, state } from './state.js';

export function slider(name, { min, max, step, value, format = String, title, oninput, onchange }) {
  const output = h('span', { class: 'value', 'aria-hidden': 'true' }, format(value));
  const input = h('input', {
    type: 'range', min: String(min), max: String(max), step: String(step), value: String(value), title, 'aria-label': name, 'aria-valuetext': format(value),
    oninput: () => { showNumber(Number(input.value)); oninput?.(Number(input.value)); },
    onchange: () => onchange?.(Number(input.value)),
  });
  const element = h('label', { class: 'field' }, h('span', {}, name, output), input);
  const showNumber = (number) => { output.textContent = format(number); input.setAttribute('aria-valuetext', format(number)); };
  const set = (number) => { input.value = String(number); showNumber(number); };
  return { element, input, set };
}

// The slider for psi. All parts of the page share its value.
export function varietySlider() {
  const variety = slider('Variety', {
    min: 0, max: 1, step: 0.05, value: state.psi, format: (psi) => psi.toFixed(2),
    title: 'Truncation (psi): 0 is the average face, 1 gives the most varied faces', oninput: (psi) => change({ psi }),
  });
  onChange((names) => names.includes('psi') && variety.set(state.psi));
  return variety.element;
}

export function heading(title, text) {
  return h('div', { class: 'head' }, h('h1', {}, title), h('p', { class: 'soft' }, text));
}

export function notice(text, command) {
  return h('div', { class: 'notice' }, h('p', {}, text), command && h('div', { class: 'row' }, h('pre', {}, command),
    h('button', { type: 'button', onclick: () => copy(command, 'Command') }, 'Copy')));
}

export async function download(url, name) {
  try {
    const blob = await (await request(url)).blob();
    const objectUrl = URL.createObjectURL(blob);
    h('a', { href: objectUrl, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(objectUrl), 10_000);
  } catch (error) { showMessage(error.message); }
}

// Buttons to download a picture, and to copy the code that draws it. `links` returns {png, json, name}.
export function pictureButtons(links) {
  const copyCode = (kind, name) => async () => {
    try {
      const code = await requestJson(links().json);
      if (code[kind]) await copy(code[kind], name);
      else showMessage('No command can draw this picture. Copy the Python code instead.');
    } catch (error) { showMessage(error.message); }
  };
  return h('div', { class: 'row' },
    h('button', { type: 'button', onclick: () => download(links().png, links().name) }, 'Download'),
    h('button', { type: 'button', onclick: copyCode('command', 'Command'), title: 'The command that draws this picture' }, 'Copy command'),
    h('button', { type: 'button', onclick: copyCode('python', 'Python code'), title: 'The Python code that draws this picture' }, 'Copy Python'));
}

export const linksOfFace = (face) => ({
  png: faceUrl(face, { live: false, psi: psiOf(face) }), json: faceUrl(face, { live: false, kind: 'json', psi: psiOf(face) }), name: fileName(labelOf(face), 'png'),
});
export const linksOfSum = (terms) => ({ png: apiUrl('mix.png', { terms, psi: state.psi }), json: apiUrl('mix.json', { terms, psi: state.psi }), name: fileName(terms, 'png') });
export const shortenLatents = (text) => text.replace(/w\.[\w.]+/g, 'custom');
export const fileName = (label, ending) => `${shortenLatents(label).replace(/[^\w.-]+/g, '-').replace(/^-|-$/g, '').slice(0, 80) || 'face'}.${ending}`;

// Truncation would change a face that was found in a photo, so psi applies to seeds only.
const psiOf = (face) => (isLatent(face) ? 1 : state.psi);
export const showFace = (picture, face, label = labelOf(face)) => picture.show(faceUrl(face, { psi: psiOf(face) }), label);
