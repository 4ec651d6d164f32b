// The wall: one face for each seed, and more faces as the user scrolls.

import { h, Picture, showMessage } from './dom.js';
import { change, isKept, onChange, state, toggleKept } from './state.js';
import { openCard } from './tray.js';
import { heading, showFace, slider, varietySlider } from './widgets.js';

const PAGE_SIZE = 48;
const MAX_FIRST = 2 ** 32 - 100_000;

export function facesPart(openPart) {
  const wall = h('ul', { class: 'wall', 'aria-label': 'Faces by seed' });
  const end = h('div', { class: 'more', 'aria-hidden': 'true' });
  const tiles = []; // {seed, picture, button, visible}
  const first = h('input', { type: 'number', min: '0', step: '1', inputmode: 'numeric', value: String(state.first), onchange: () => startAt(Number(first.value)) });
  const size = slider('Size', { min: 48, max: 224, step: 8, value: state.tile, format: (px) => `${px} px`, oninput: (tile) => change({ tile }) });
  const element = h('section', { class: 'part', 'aria-label': 'Faces' },
    heading('These people do not exist', 'Each number, called a seed, always gives the same face. Click a face to keep it. Scroll down for more.'),
    h('div', { class: 'bar' }, h('button', { type: 'button', class: 'main', onclick: () => startAt(Math.floor(Math.random() * 1_000_000)) }, 'New faces'),
      varietySlider(), size.element, h('label', { class: 'field' }, h('span', {}, 'First seed'), first),
      h('p', { class: 'keys small soft' }, h('kbd', {}, '↑ ↓ ← →'), ' move  ', h('kbd', {}, 'Enter'), ' keep  ', h('kbd', {}, 'E'), ' edit')),
    wall, end);

  const visibility = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.tile.visible = isIntersecting;
      if (isIntersecting) draw(target.tile);
      else target.tile.picture.stop();
    }
  }, { rootMargin: '240px' });
  const endObserver = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && addPage(), { rootMargin: '600px' });

  function draw(tile) {
    if (state.part === 'faces' && state.model) showFace(tile.picture, String(tile.seed), `Face of seed ${tile.seed}`);
  }

  function addPage() {
    if (state.part !== 'faces') return;
    for (let i = 0; i < PAGE_SIZE; i++) addTile(state.first + tiles.length);
    endObserver.unobserve(end); // observing it again reports whether it is still visible
    endObserver.observe(end);
  }

  function addTile(seed) {
    const picture = new Picture(`Face of seed ${seed}`);
    const button = h('button', { type: 'button', 'aria-pressed': String(isKept(String(seed))), 'aria-label': `Seed ${seed}`, tabIndex: tiles.length ? -1 : 0 },
      picture.element, h('span', { class: 'seed', 'aria-hidden': 'true' }, String(seed)), h('span', { class: 'tick', 'aria-hidden': 'true' }, '✓'));
    const tile = { seed, picture, button, visible: false };
    button.tile = tile;
    tiles.push(tile);
    wall.append(h('li', {}, button));
    visibility.observe(button);
  }

  function startAt(seed) {
    const from = Number.isSafeInteger(seed) && seed >= 0 ? Math.min(seed, MAX_FIRST) : 0;
    for (const { picture, button } of tiles) { picture.stop(); visibility.unobserve(button); }
    tiles.length = 0;
    wall.replaceChildren();
    first.value = String(from);
    change({ first: from });
    addPage();
  }

  wall.addEventListener('click', ({ target }) => {
    const tile = target.closest('button')?.tile;
    if (!tile) return;
    makeFocusable(tile);
    const kept = toggleKept(String(tile.seed));
    showMessage(`Seed ${tile.seed} ${kept ? 'kept' : 'removed'}`);
  });
  wall.addEventListener('keydown', (event) => {
    const tile = event.target.closest('button')?.tile;
    if (!tile) return;
    const place = tiles.indexOf(tile);
    const columns = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -place, End: tiles.length - 1 - place }[event.key];
    if (step !== undefined) {
      if (place + step >= tiles.length) addPage();
      const next = tiles[Math.max(0, Math.min(place + step, tiles.length - 1))];
      makeFocusable(next);
      next.button.focus();
      event.preventDefault();
    } else if (event.key === 'e' && !event.ctrlKey && !event.metaKey) {
      if (!isKept(String(tile.seed))) toggleKept(String(tile.seed));
      openPart('edit', { face: String(tile.seed) });
    }
  });

  // The Tab key stops at one tile only; the arrow keys move between tiles.
  function makeFocusable(tile) {
    for (const each of tiles) each.button.tabIndex = each === tile ? 0 : -1;
  }

  onChange((names) => {
    if (names.includes('tile')) { wall.style.setProperty('--tile', `${state.tile}px`); size.set(state.tile); }
    if (names.includes('kept')) for (const { seed, button } of tiles) button.setAttribute('aria-pressed', String(isKept(String(seed))));
    if (names.includes('psi') || names.includes('model')) for (const tile of tiles) if (tile.visible) draw(tile);
  });
  wall.style.setProperty('--tile', `${state.tile}px`);
  startAt(state.first);
  endObserver.observe(end);

  return {
    element,
    tray: { hint: 'Click a face to open it.', emptyHint: 'Click a face to keep it.', onClick: (item) => openCard(item, openPart) },
    enter() {
      if (tiles[0] && tiles[0].seed !== state.first) startAt(state.first);
      for (const tile of tiles) if (tile.visible) draw(tile);
      if (!tiles.length) addPage();
    },
    leave() { for (const { picture } of tiles) picture.stop(); },
  };
}
