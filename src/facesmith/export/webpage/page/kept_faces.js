// The tray: the kept faces, at the bottom of every part. Each part decides what a click on a kept face does.

import { button, h, listDrawer } from './dom.js';
import { showRemoval } from './messages.js';
import { isEdited } from './page_faces.js';
import { change, labelOf, onChange, state } from './page_state.js';
import { FaceView, pictureOfFace } from './pictures.js';

const views = new WeakMap(); // element of a kept face -> view
let current = null; // the part: {hint, onKept(face)}

export function removeKept(face) {
  const before = state.kept;
  change({ kept: before.filter((each) => each !== face) });
  showRemoval(`Removed ${labelOf(face)}`, () => change({ kept: before }));
}

export function startTray() {
  const list = document.getElementById('tray-faces');
  const clear = button('Clear', () => {
    const before = state.kept;
    change({ kept: [] });
    showRemoval(`${before.length} removed`, () => change({ kept: before }));
  }, { class: 'plain', title: 'Remove all kept faces' });
  document.querySelector('.tray-tools').append(clear);
  const drawList = listDrawer(list, {
    keyOf: (face) => face,
    create(face) {
      const view = new FaceView(labelOf(face));
      const open = button('', () => current.onKept(face), { 'data-control': 'open', title: labelOf(face), onkeydown: (event) => {
        if (event.key !== 'Delete' && event.key !== 'Backspace') return;
        event.preventDefault();
        removeKept(face);
      } });
      open.append(view.element);
      const element = h('li', { class: isEdited(face) ? 'edited' : '' }, open, button('×', () => removeKept(face), { class: 'remove', 'data-control': 'remove', 'aria-label': `Remove ${labelOf(face)}`, title: 'Remove' }));
      views.set(element, view);
      return element;
    },
    update(element, face) { views.get(element).show(pictureOfFace(face)); },
    fallback: () => document.getElementById('main'),
  });
  function draw() {
    drawList(state.kept);
    clear.hidden = !state.kept.length;
    document.body.classList.toggle('nothing-kept', !state.kept.length);
    document.getElementById('tray-hint').textContent = state.kept.length ? current?.hint ?? '' : 'Tap a face on the wall to keep it.';
  }
  onChange((names) => names.some((name) => ['kept', 'psi', 'condition', 'part'].includes(name)) && draw());
  return (part) => { current = part; draw(); };
}
