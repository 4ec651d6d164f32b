// A face as large as the window, smooth or with its real pixels.

import { button, h } from './dom.js';
import { Picture } from './picture.js';
import { labelOf } from './state.js';
import { showFace } from './widgets.js';

const dialog = h('dialog', { id: 'zoom', 'aria-label': 'Enlarged face' });
document.body.append(dialog);

export function openZoom(face) {
  const picture = new Picture();
  const pixels = button('Show pixels', () => {
    const on = picture.element.classList.toggle('pixels');
    pixels.setAttribute('aria-pressed', String(on));
  }, { 'aria-pressed': 'false', class: 'choice' });
  dialog.replaceChildren(picture.element, h('div', { class: 'row' }, h('span', { class: 'soft' }, labelOf(face)), pixels, button('Close', () => dialog.close())));
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  showFace(picture, face);
  dialog.showModal();
}
