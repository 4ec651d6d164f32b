// The menu: links, downloads, projects, history, stage mode, and what this browser has stored.

import { addressOf, keptText, readAddress } from './address.js';
import { button, h } from './dom.js';
import { openDownloads } from './downloads.js';
import { forgetKept } from './kept.js';
import { openHistory } from './history.js';
import { openMarks } from './marks.js';
import { copy } from './messages.js';
import { openFile } from './open_file.js';
import { saveProject } from './project.js';
import { openStage } from './stage.js';
import { studio } from './state.js';

const menu = document.getElementById('menu');
const fileInput = h('input', { type: 'file', class: 'visually-hidden', tabIndex: -1, 'aria-label': 'A project, or a picture that Facesmith made', accept: 'application/json,image/*',
  onchange: () => { if (fileInput.files[0]) openFile(fileInput.files[0]); fileInput.value = ''; } });

export function fillMenu() {
  const item = (text, run, title, needsModel = true) => button(text, () => { menu.hidePopover(); run(); }, { title, disabled: needsModel && !studio.model });
  menu.replaceChildren(
    item('Copy link', copyLink, 'The link shows what is on your screen to others who have the same model', false),
    item('History', openHistory, 'Earlier walls and edits'),
    item('Stage mode', openStage, 'An endless walk on the full screen, without controls'),
    item('Download several faces', openDownloads, 'The kept faces or the wall, as a ZIP or as a contact sheet'),
    item('Was this picture generated?', openMarks, 'Look for the invisible watermark in a picture', false),
    item('Save project', saveProject, 'Everything on the screen and the kept faces, in a file'),
    item('Open project or picture', () => fileInput.click(), 'A project, or a picture that Facesmith made'),
    item('Forget everything in this browser', forgetEverything, '', false), fileInput);
}

function copyLink() {
  const faces = studio.kept.length && !keptText() ? 'without the kept faces, which are too many' : '';
  const own = /w\./.test(addressOf()) ? 'It contains faces that are not seeds, perhaps of a person in a photo.' : '';
  copy(location.href, ['Link', faces, own && `(${own})`].filter(Boolean).join(' '));
}

function forgetEverything() {
  const dialog = h('dialog', { 'aria-labelledby': 'forget-title', onclose: () => dialog.remove() }, h('div', { class: 'card' },
    h('h2', { id: 'forget-title' }, 'Forget everything in this browser?'),
    h('p', {}, 'The kept faces, the history of this tab and the photo are removed. This can’t be undone. The addresses in the browser’s own history remain; you clear them in the browser.'),
    h('div', { class: 'row' }, button('Forget everything', () => {
      forgetKept();
      sessionStorage.clear();
      history.replaceState(null, '', addressOf(readAddress('#faces').values, ''));
      location.reload();
    }, { class: 'main' }), button('Cancel', () => dialog.close()))));
  document.body.append(dialog);
  dialog.showModal();
}
