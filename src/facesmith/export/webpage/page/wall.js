// The wall: one face for each seed, and more faces as the user scrolls.

import { heading, seedField, slider } from './controls.js';
import { button, h } from './dom.js';
import { MAX_SEED } from './face_text.js';
import { change, isKept, keep, navigate, onChange, state } from './page_state.js';
import { conditionSwitches, varietySlider } from './page_widgets.js';
import { FaceView, pictureOfFace } from './pictures.js';
import { removeKept } from './kept_faces.js';
import { listenToWallKeys, seedButton } from './wall_keys.js';

const PAGE_SIZE = 48;
const RANDOM_SEEDS = 1_000_000; // short numbers are easier to remember

export function wallPart() {
  const wall = h('ul', { class: 'wall', 'aria-label': 'Faces by seed' });
  const end = h('div', { class: 'more', 'aria-hidden': 'true' });
  const tiles = []; // {seed, view, button, visible}
  const first = seedField('First seed', state.first, (seed) => navigate({ first: seed }));
  const size = slider('Size', { min: 48, max: 224, step: 8, value: state.tile, format: (px) => `${px} px`, oninput: (tile) => change({ tile }) });
  const element = h('section', { class: 'part faces', 'aria-label': 'Faces' },
    heading('These people do not exist', 'Every face has a number, its seed. Tap to keep it.'),
    h('div', { class: 'bar' }, button('New faces', () => navigate({ first: Math.floor(Math.random() * RANDOM_SEEDS) }), { class: 'main' }),
      varietySlider(), size.element, first.element,
      h('p', { class: 'keys small soft' }, h('kbd', {}, '↑ ↓ ← →'), ' move  ', h('kbd', {}, 'Enter'), ' keep  ', h('kbd', {}, 'E'), ' edit')),
    conditionSwitches(), wall, end);

  const visibility = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.tile.visible = isIntersecting;
      if (isIntersecting) draw(target.tile);
      else target.tile.view.leave();
    }
  }, { rootMargin: '240px' });
  const endObserver = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && addPage(), { rootMargin: '600px' });
  const draw = ({ seed, view }) => state.part === 'faces' && view.show(pictureOfFace(String(seed)));

  function addPage() {
    if (state.part !== 'faces') return;
    const start = state.first + tiles.length;
    for (let seed = start; seed < start + PAGE_SIZE && seed <= MAX_SEED; seed++) addTile(seed);
    endObserver.unobserve(end); // observing it again reports whether it is still visible
    if (state.first + tiles.length <= MAX_SEED) endObserver.observe(end);
  }
  function addTile(seed) {
    const view = new FaceView(`Face of seed ${seed}`);
    const tileButton = seedButton(seed, view.element, isKept(String(seed)), !tiles.length);
    const tile = { seed, view, button: tileButton, visible: false };
    tileButton.tile = tile;
    tiles.push(tile);
    wall.append(h('li', {}, tileButton));
    visibility.observe(tileButton);
  }
  function startWall() {
    for (const { view, button: tileButton } of tiles) { view.forget(); visibility.unobserve(tileButton); }
    tiles.length = 0;
    wall.replaceChildren();
    first.set(state.first);
    addPage();
  }

  wall.addEventListener('click', ({ target }) => {
    const tile = target.closest('button')?.tile;
    if (!tile) return;
    makeFocusable(tile);
    if (isKept(String(tile.seed))) removeKept(String(tile.seed));
    else keep(String(tile.seed));
  });
  const makeFocusable = listenToWallKeys(wall, tiles, addPage, (key, { seed }) => {
    if (key === 'e') navigate({ part: 'edit', face: String(seed) });
    return key === 'e';
  });

  function showSize() {
    wall.style.setProperty('--tile', `${state.tile}px`);
    size.set(state.tile);
  }
  onChange((names) => {
    if (names.includes('tile')) showSize();
    if (names.includes('kept')) for (const { seed, button: tileButton } of tiles) tileButton.setAttribute('aria-pressed', String(isKept(String(seed))));
    if (names.includes('first')) first.set(state.first);
    if (names.includes('first') && state.part === 'faces') startWall();
    if (names.includes('psi') || names.includes('condition')) for (const tile of tiles) if (tile.visible) draw(tile);
  });
  showSize();

  return {
    element, hint: 'Tap a face to edit it.', onKept: (face) => navigate({ part: 'edit', face }),
    enter() {
      if (tiles[0]?.seed !== state.first) startWall();
      for (const tile of tiles) if (tile.visible) draw(tile);
    },
    leave() { for (const { view } of tiles) view.leave(); },
  };
}
