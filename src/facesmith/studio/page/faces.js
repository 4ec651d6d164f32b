// The wall: a face for every seed, more as one scrolls.

import { h, Picture, say } from './dom.js';
import { head, show, slider, variety } from './parts.js';
import { change, isKept, onChange, state, toggle } from './state.js';
import { openCard } from './tray.js';

const MORE = 48;
const LAST = Number.MAX_SAFE_INTEGER - 100_000;

export function faces(go) {
  const wall = h('ul', { class: 'wall', 'aria-label': 'Faces by seed' });
  const more = h('div', { class: 'more', 'aria-hidden': 'true' });
  const tiles = [];
  const first = h('input', { type: 'number', min: '0', step: '1', inputmode: 'numeric', value: String(state.first), onchange: () => begin(Number(first.value)) });
  const size = slider('Size', { min: 48, max: 224, step: 8, value: state.tile, format: (px) => `${px} px`, oninput: (tile) => change({ tile }) });
  const element = h('section', { class: 'part', 'aria-label': 'Faces' },
    head('Nobody here exists', 'Each number below, a seed, gives one face, always the same. Click a face to keep it; scroll for more.'),
    h('div', { class: 'bar' }, h('button', { type: 'button', class: 'main', onclick: () => begin(Math.floor(Math.random() * 1_000_000)) }, 'New faces'),
      variety(), size.element, h('label', { class: 'field' }, h('span', {}, 'Start at seed'), first),
      h('p', { class: 'keys small soft' }, h('kbd', {}, '↑ ↓ ← →'), ' move  ', h('kbd', {}, 'Enter'), ' keeps  ', h('kbd', {}, 'E'), ' edits')),
    wall, more);

  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.tile.near = isIntersecting;
      if (isIntersecting) draw(target.tile);
      else target.tile.picture.stop();
    }
  }, { rootMargin: '240px' });
  const end = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && grow(), { rootMargin: '600px' });

  function draw(tile) {
    if (state.part === 'faces' && state.model) show(tile.picture, String(tile.seed), `Face of seed ${tile.seed}`);
  }

  function grow() {
    if (state.part !== 'faces') return;
    for (let i = 0; i < MORE; i++) add(state.first + tiles.length);
    end.unobserve(more); // it tells again only if it is still in sight
    end.observe(more);
  }

  function add(seed) {
    const picture = new Picture(`Face of seed ${seed}`);
    const button = h('button', { type: 'button', 'aria-pressed': String(isKept(String(seed))), 'aria-label': `Seed ${seed}`, tabIndex: tiles.length ? -1 : 0 },
      picture.element, h('span', { class: 'seed', 'aria-hidden': 'true' }, String(seed)), h('span', { class: 'tick', 'aria-hidden': 'true' }, '✓'));
    const tile = { seed, picture, button, near: false };
    button.tile = tile;
    tiles.push(tile);
    wall.append(h('li', {}, button));
    near.observe(button);
  }

  function begin(seed) {
    const from = Number.isSafeInteger(seed) && seed >= 0 ? Math.min(seed, LAST) : 0;
    for (const { picture, button } of tiles) { picture.stop(); near.unobserve(button); }
    tiles.length = 0;
    wall.replaceChildren();
    first.value = String(from);
    change({ first: from });
    grow();
  }

  wall.addEventListener('click', ({ target }) => {
    const tile = target.closest('button')?.tile;
    if (!tile) return;
    focusOn(tile, false);
    const kept = toggle(String(tile.seed));
    say(kept ? `Seed ${tile.seed} kept` : `Seed ${tile.seed} let go`);
  });
  wall.addEventListener('keydown', (event) => {
    const tile = event.target.closest('button')?.tile;
    if (!tile) return;
    const at = tiles.indexOf(tile);
    const columns = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: tiles.length - 1 - at }[event.key];
    if (step !== undefined) {
      if (at + step >= tiles.length) grow();
      focusOn(tiles[Math.max(0, Math.min(at + step, tiles.length - 1))], true);
      event.preventDefault();
    } else if (event.key === 'e' && !event.ctrlKey && !event.metaKey) {
      if (!isKept(String(tile.seed))) toggle(String(tile.seed));
      go('edit', { face: String(tile.seed) });
    }
  });

  // Roving tabindex: the wall is one stop of the Tab key.
  function focusOn(tile, move) {
    for (const each of tiles) each.button.tabIndex = each === tile ? 0 : -1;
    if (move) tile.button.focus();
  }

  onChange((names) => {
    if (names.includes('tile')) { wall.style.setProperty('--tile', `${state.tile}px`); size.set(state.tile); }
    if (names.includes('kept')) for (const { seed, button } of tiles) button.setAttribute('aria-pressed', String(isKept(String(seed))));
    if (names.includes('psi') || names.includes('model')) for (const tile of tiles) if (tile.near) draw(tile);
  });
  wall.style.setProperty('--tile', `${state.tile}px`);
  begin(state.first);
  end.observe(more);

  return {
    element,
    use: { hint: 'Click one to open it.', empty: 'Click a face to keep it.', click: (item) => openCard(item, go) },
    enter() { if (tiles[0] && tiles[0].seed !== state.first) begin(state.first); for (const tile of tiles) if (tile.near) draw(tile); if (!tiles.length) grow(); },
    leave() { for (const { picture } of tiles) picture.stop(); },
  };
}
