// The wall: one face for each seed, and more faces as the user scrolls.

import { navigate } from './address.js';
import { heading, seedField, slider } from './controls.js';
import { button, h } from './dom.js';
import { MAX_SEED } from './face_text.js';
import { describe, describeOnFocus } from './describe.js';
import { isKept, keep, toggleKept } from './kept.js';
import { showProblem } from './messages.js';
import { Picture } from './picture.js';
import { requestJson } from './server.js';
import { apiUrl, change, inEdit, onChange, state } from './state.js';
import { openCard } from './tray.js';
import { showFace, varietySlider } from './widgets.js';
import { listenToWallKeys, seedButton } from './wall_keys.js';
import { openZoom } from './zoom.js';

const PAGE_SIZE = 48;
const RANDOM_SEEDS = 1_000_000; // short numbers are easier to remember

export function facesPart(signal) {
  const wall = h('ul', { class: 'wall', 'aria-label': 'Faces by seed' });
  const end = h('div', { class: 'more', 'aria-hidden': 'true' });
  const tiles = []; // {seed, picture, button, visible}
  let shown = {}; // first and quality of the wall
  let next = state.first; // the seed after the last tile
  let currentWall = {}; // another object for each wall
  let loading = null; // the wall for which seeds are being requested
  const first = seedField('First seed', state.first, (seed) => navigate({ first: seed }));
  const size = slider('Size', { min: 48, max: 224, step: 8, value: state.tile, format: (px) => `${px} px`, oninput: (tile) => change({ tile }) });
  const quality = h('input', { type: 'checkbox', onchange: () => navigate({ quality: quality.checked }) });
  const element = h('section', { class: 'part faces', 'aria-label': 'Faces' },
    heading('These people do not exist', 'Every face has a number, its seed. Tap to keep it.'),
    h('div', { class: 'bar' }, button('New faces', () => navigate({ first: Math.floor(Math.random() * RANDOM_SEEDS) }), { class: 'main' }),
      varietySlider(signal), size.element, first.element,
      h('label', { class: 'check', title: 'Leave out the seeds whose faces look most distorted, about a tenth' }, quality, ' Without distorted faces'),
      h('p', { class: 'keys small soft' }, h('kbd', {}, '↑ ↓ ← →'), ' move  ', h('kbd', {}, 'Enter'), ' keep  ', h('kbd', {}, 'E'), ' edit  ', h('kbd', {}, 'Z'), ' zoom')),
    wall, end);

  const visibility = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.tile.visible = isIntersecting;
      if (isIntersecting) draw(target.tile);
      else target.tile.picture.stop();
    }
  }, { rootMargin: '240px' });
  const endObserver = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && addPage(), { rootMargin: '600px' });

  function draw(tile) {
    if (state.part === 'faces') showFace(tile.picture, String(tile.seed), `Face of seed ${tile.seed}`);
  }

  function addPage() {
    if (state.part !== 'faces' || loading) return;
    if (state.quality) addUndistorted();
    else addSeeds(Array.from({ length: Math.min(PAGE_SIZE, MAX_SEED + 1 - next) }, (_, place) => next + place), next + PAGE_SIZE);
  }

  async function addUndistorted() {
    const wallAtStart = loading = currentWall;
    const page = await requestJson(apiUrl('seeds.json', { start: next, count: PAGE_SIZE })).catch((error) => { showProblem(error.message); });
    if (wallAtStart !== currentWall) return; // another wall was started meanwhile
    loading = null;
    if (page) addSeeds(page.seeds, page.next);
  }

  function addSeeds(seeds, following) {
    seeds.forEach(addTile);
    next = following;
    endObserver.unobserve(end); // observing it again reports whether it is still visible
    if (next <= MAX_SEED) endObserver.observe(end);
  }

  function addTile(seed) {
    const picture = new Picture(`Face of seed ${seed}`);
    const tileButton = seedButton(seed, picture.element, isKept(String(seed)), !tiles.length);
    const tile = { seed, picture, button: tileButton, visible: false };
    tileButton.tile = tile;
    describeOnFocus(tileButton, () => String(seed));
    tiles.push(tile);
    wall.append(h('li', {}, tileButton));
    visibility.observe(tileButton);
  }

  function startWall() {
    currentWall = {};
    loading = null;
    next = state.first;
    shown = { first: state.first, quality: state.quality };
    for (const { picture, button: tileButton } of tiles) { picture.stop(); visibility.unobserve(tileButton); }
    tiles.length = 0;
    wall.replaceChildren();
    first.set(state.first);
    addPage();
  }

  wall.addEventListener('click', ({ target }) => {
    const tile = target.closest('button')?.tile;
    if (!tile) return;
    makeFocusable(tile);
    toggleKept(String(tile.seed));
    describe(String(tile.seed));
  });
  const makeFocusable = listenToWallKeys(wall, tiles, addPage, (key, { seed }) => {
    if (key === 'e') {
      keep(String(seed));
      navigate(inEdit(String(seed)));
    } else if (key === 'z') openZoom(String(seed));
    else return false;
    return true;
  });

  onChange((names) => {
    if (names.includes('tile')) showSize();
    if (names.includes('kept')) for (const { seed, button: tileButton } of tiles) tileButton.setAttribute('aria-pressed', String(isKept(String(seed))));
    if (names.includes('quality')) quality.checked = state.quality;
    if ((names.includes('first') || names.includes('quality')) && state.part === 'faces') startWall();
    if (names.includes('psi')) for (const tile of tiles) if (tile.visible) draw(tile);
  }, signal);
  signal.addEventListener('abort', () => { visibility.disconnect(); endObserver.disconnect(); });
  function showSize() {
    wall.style.setProperty('--tile', `${state.tile}px`);
    size.set(state.tile);
  }
  showSize();
  quality.checked = state.quality;

  return {
    element,
    tray: { hint: 'Tap a face to open it.', emptyHint: 'Tap a face to keep it.', onClick: openCard },
    enter() {
      if (shown.first !== state.first || shown.quality !== state.quality) startWall();
      for (const tile of tiles) if (tile.visible) draw(tile);
    },
    leave() { for (const { picture } of tiles) picture.stop(); },
  };
}
