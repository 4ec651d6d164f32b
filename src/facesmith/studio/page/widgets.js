// Widgets that several parts of the page share, and that know the state or the server.

import { save, slider, whileBusy } from './controls.js';
import { button, h } from './dom.js';
import { fileName, isLatent, shortenLatents } from './face_text.js';
import { copy, showMessage } from './messages.js';
import { requestBlob, requestJson } from './server.js';
import { apiUrl, change, faceQuery, faceUrl, labelOf, onChange, state, studio } from './state.js';

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
