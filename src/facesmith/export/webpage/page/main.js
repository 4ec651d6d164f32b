// Starts the page: the worker, the parts, the tray and the address.

import { aboutPart } from './about_part.js';
import { editPart } from './edit_part.js';
import { h } from './dom.js';
import { startTray } from './kept_faces.js';
import { copy } from './messages.js';
import { mixPart } from './mix_part.js';
import { addressOf, followAddress, navigate, onChange, PARTS, state } from './page_state.js';
import { startWorker } from './pictures.js';
import { walkPart } from './walk_part.js';
import { wallPart } from './wall.js';

followAddress();
const main = document.getElementById('main');
const parts = { faces: wallPart(), edit: editPart(), mix: mixPart(), walk: walkPart(), about: aboutPart() };
const connectTray = startTray();
const links = [...document.querySelectorAll('.parts a')];
let current = null;

function showPart() {
  if (current === parts[state.part]) return;
  current?.leave();
  current = parts[state.part];
  main.replaceChildren(current.element);
  links.forEach((link, i) => { if (PARTS[i] === state.part) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current'); });
  connectTray(current);
  current.enter();
}
onChange((names) => names.includes('part') && showPart());
for (const [i, link] of links.entries()) link.addEventListener('click', (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  navigate({ part: PARTS[i] });
});
document.querySelector('.logo').addEventListener('click', (event) => { event.preventDefault(); navigate({ part: 'faces' }); });
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
document.getElementById('copy-link').addEventListener('click', () => copy(location.href.replace(/#.*/s, '') + addressOf(), 'Link'));
showPart();
startWorker().then((name) => parts.about.setKernel(name), (error) => {
  main.replaceChildren(h('p', { class: 'notice', role: 'alert' }, `The generator could not start: ${error.message}`));
});
