// Downloads of several faces: the kept ones, or a part of the wall, as a zip or as a contact sheet.

import { whileBusy } from './controls.js';
import { button, h } from './dom.js';
import { MAX_SEED } from './face_text.js';
import { showMessage } from './messages.js';
import { watchQueue } from './queue.js';
import { apiUrl, currentPsi, state, studio } from './state.js';
import { download, sizeChoice } from './widgets.js';

const MAX_URL_LENGTH = 55_000; // of the server
const MAX_FACES = 256;
const WALL_FACES = 48;
const FORMATS = { zip: ['faces.zip', 'ZIP: pictures, a table and a contact sheet'], sheet: ['contact-sheet.png', 'Contact sheet: one picture of all faces'] };

export function openDownloads() {
  const kept = studio.kept.slice(0, MAX_FACES).map(({ face }) => face);
  const source = h('select', { onchange: showCount },
    h('option', { value: 'kept', disabled: !kept.length, selected: kept.length > 0 }, `The kept faces (${kept.length})`),
    h('option', { value: 'wall', selected: !kept.length }, `The wall, from seed ${state.first}`));
  const count = h('input', { type: 'number', min: '1', max: String(MAX_FACES), value: String(WALL_FACES) });
  const countField = h('label', { class: 'field' }, h('span', {}, 'Number of faces'), count);
  const format = h('select', {}, Object.entries(FORMATS).map(([value, [, text]]) => h('option', { value }, text)));
  const size = sizeChoice();
  const status = h('p', { class: 'small soft', role: 'status' });
  const start = button('Download', () => whileBusy(start, downloadFaces), { class: 'main' });
  const dialog = h('dialog', { 'aria-labelledby': 'downloads-title', onclose: () => dialog.remove() }, h('div', { class: 'card' },
    h('h2', { id: 'downloads-title' }, 'Download several faces'), button('×', () => dialog.close(), { class: 'plain close', 'aria-label': 'Close' }),
    h('label', { class: 'field' }, h('span', {}, 'Faces'), source), countField,
    h('label', { class: 'field' }, h('span', {}, 'File'), format),
    h('label', { class: 'field' }, h('span', {}, 'Size of each face'), size),
    h('p', { class: 'small soft' }, 'Each file says that its faces are synthetic, and contains how they were made.'),
    h('div', { class: 'row' }, start), status));
  function showCount() { countField.hidden = source.value !== 'wall'; }

  function chosenFaces() {
    if (source.value === 'kept') return kept;
    const length = Math.max(1, Math.min(MAX_FACES, Math.round(Number(count.value)) || WALL_FACES, MAX_SEED - state.first + 1));
    count.value = String(length);
    return Array.from({ length }, (_, i) => String(state.first + i));
  }
  async function downloadFaces() {
    const [name] = FORMATS[format.value];
    const url = apiUrl(name, { faces: chosenFaces().join(','), psi: currentPsi(), scale: size.value });
    if (url.length > MAX_URL_LENGTH) return showMessage('Too many custom faces for one download. Remove some of them.');
    const stop = watchQueue(format.value, (text) => { status.textContent = text; }, 'Making the file …');
    const done = await download(url, name);
    stop();
    status.textContent = done ? `${name} downloaded` : '';
    return undefined;
  }
  showCount();
  document.body.append(dialog);
  dialog.showModal();
}
