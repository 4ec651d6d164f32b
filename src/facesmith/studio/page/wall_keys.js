// Tiles of a wall, one per seed, and the keyboard on it. Used by the studio and by exported pages.

import { h } from './dom.js';

export function seedButton(seed, content, isPressed, isFirst) {
  return h('button', { type: 'button', 'aria-pressed': String(isPressed), 'aria-label': `Seed ${seed}`, tabIndex: isFirst ? 0 : -1 },
    content, h('span', { class: 'seed', 'aria-hidden': 'true' }, String(seed)), h('span', { class: 'tick', 'aria-hidden': 'true' }, '✓'));
}

// Arrow keys, Home and End move between the tiles {button}; other keys go to `onKey(key, tile)`, which returns whether it
// used the key. Returns a function that makes a tile the only one at which the Tab key stops.
export function listenToWallKeys(wall, tiles, addPage, onKey) {
  function makeFocusable(tile) {
    for (const each of tiles) each.button.tabIndex = each === tile ? 0 : -1;
  }
  wall.addEventListener('keydown', (event) => {
    const tile = event.target.closest('button')?.tile;
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = tiles.indexOf(tile);
    const columns = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -place, End: tiles.length - 1 - place }[event.key];
    if (step === undefined) {
      if (onKey(event.key.toLowerCase(), tile)) event.preventDefault();
      return;
    }
    if (place + step >= tiles.length) addPage();
    const next = tiles[Math.max(0, Math.min(place + step, tiles.length - 1))];
    makeFocusable(next);
    next.button.focus();
    event.preventDefault();
  });
  return makeFocusable;
}
