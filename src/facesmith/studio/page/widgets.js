// Pieces that several parts of the page share.

import { ask, askJson, copy, h, say } from './dom.js';
import { apiUrl, change, faceUrl, labelOf, onChange, parts, state } from './state.js';

export function slider(name, { min, max, step, value, format = String, title, oninput, onchange }) {
  const output = h('span', { class: 'value', 'aria-hidden': 'true' }, format(value));
  const input = h('input', {
    type: 'range', min: String(min), max: String(max), step: String(step), value: String(value), title, 'aria-label': name, 'aria-valuetext': format(value),
    oninput: () => { told(Number(input.value)); oninput?.(Number(input.value)); },
    onchange: () => onchange?.(Number(input.value)),
  });
  const element = h('label', { class: 'field' }, h('span', {}, name, output), input);
  const told = (number) => { output.textContent = format(number); input.setAttribute('aria-valuetext', format(number)); };
  const set = (number) => { input.value = String(number); told(number); };
  return { element, input, set };
}

// How far faces lie from the average one: psi, everywhere the same.
export function variety() {
  const held = slider('Variety', {
    min: 0, max: 1, step: 0.05, value: state.psi, format: (psi) => psi.toFixed(2),
    title: 'Truncation (psi): 0 is the average face, 1 the most varied ones', oninput: (psi) => change({ psi }),
  });
  onChange((names) => names.includes('psi') && held.set(state.psi));
  return held.element;
}

export function head(title, words) {
  return h('div', { class: 'head' }, h('h1', {}, title), h('p', { class: 'soft' }, words));
}

export function notice(words, command) {
  return h('div', { class: 'notice' }, h('p', {}, words), command && withCopy(command, 'Command'));
}

export function withCopy(text, what) {
  return h('div', { class: 'row' }, h('pre', {}, text), h('button', { type: 'button', onclick: () => copy(text, what) }, 'Copy'));
}

export async function download(url, name) {
  try {
    const blob = await (await ask(url)).blob();
    const address = URL.createObjectURL(blob);
    h('a', { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) { say(error.message); }
}

// What can be done with a picture: taken away, or made again elsewhere.
export function actions(subject) {
  const again = (kind, what) => async () => {
    try {
      const told = await askJson(subject().json);
      if (told[kind]) await copy(told[kind], what);
      else say('No command makes this one; its Python lines do.');
    } catch (error) { say(error.message); }
  };
  return h('div', { class: 'row' },
    h('button', { type: 'button', onclick: () => download(subject().png, subject().name) }, 'Download'),
    h('button', { type: 'button', onclick: again('command', 'Command line'), title: 'The command line that draws this picture' }, 'Copy command'),
    h('button', { type: 'button', onclick: again('python', 'Python lines'), title: 'The Python lines that draw this picture' }, 'Copy Python'));
}

export const ofFace = (face) => ({
  png: faceUrl(face, { live: false, psi: psiOf(face) }), json: faceUrl(face, { live: false, kind: 'json', psi: psiOf(face) }), name: fileName(labelOf(face), 'png'),
});
export const ofSum = (terms) => ({ png: apiUrl('mix.png', { terms, psi: state.psi }), json: apiUrl('mix.json', { terms, psi: state.psi }), name: fileName(terms, 'png') });
export const fileName = (label, ending) => `${label.replace(/w\.[\w.]+/g, 'found').replace(/[^\w.-]+/g, '-').replace(/^-|-$/g, '').slice(0, 80) || 'face'}.${ending}`;

// A face that was found in a photo is shown as it was found: psi would pull it away.
export const psiOf = (face) => (parts(face).base.startsWith('w.') ? 1 : state.psi);
export const show = (picture, face, label = labelOf(face)) => picture.show(faceUrl(face, { psi: psiOf(face) }), label);
