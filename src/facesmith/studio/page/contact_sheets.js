// The contact sheets of a run at its checkpoints, and one of their faces over time.
// `state.sheets` says what is shown: one or two of {run, seen}, where seen is 0 for the newest checkpoint.

import { slider } from './controls.js';
import { button, h } from './dom.js';
import { showProblem } from './messages.js';
import { Picture } from './picture.js';
import { requestBlob } from './server.js';
import { change, state } from './state.js';

const NAMES = ['A', 'B'];
const SHEET_SIDE = 8; // faces in each row and column
const GAP_PX = 2;
const FRAME_MS = 180;
const MAX_TIMELINE = 12;

export const inKimg = (seen, digits = 1) => `${(seen / 1000).toFixed(digits)} kimg`;
const sheetUrl = (run, seen) => `api/sheet.png?${new URLSearchParams({ run: run.id, seen })}`;

// The run of a sheet: the chosen one, or the first.
export const runOf = (runs, place) => runs.find(({ id }) => id === state.sheets[place]?.run) ?? runs[0];

// The chosen number of images shown, or 0: a link may name a run that is not open here.
const seenOf = (runs, place) => (state.sheets[place]?.run === runOf(runs, place).id ? state.sheets[place].seen : 0);

// The sheets of the state, with other values at one place.
export function withSheet(runs, place, values) {
  const count = Math.max(place + 1, state.sheets.length);
  const sheets = Array.from({ length: count }, (_, each) => ({ run: runOf(runs, each).id, seen: seenOf(runs, each) }));
  Object.assign(sheets[place], values);
  return sheets;
}

// Fills a list of runs. An unchanged list stays as it is, because the user may have it open.
export function fillRunList(select, runs, chosen) {
  const isUnchanged = select.length === runs.length && runs.every(({ id, name }, i) => select.options[i].value === id && select.options[i].text === name);
  if (!isUnchanged) select.replaceChildren(...runs.map(({ id, name }) => h('option', { value: id }, name)));
  select.value = chosen.id;
}

// A contact sheet with a slider for the checkpoint. The second one has its own list of runs.
//   currentRuns(): the open runs.
export function contactSheet(place, currentRuns) {
  const name = NAMES[place];
  const picture = new Picture();
  picture.element.classList.add('sheet');
  const runList = h('select', { 'aria-label': `Run of sheet ${name}`, onchange: () => change({ sheets: withSheet(currentRuns(), place, { run: runList.value, seen: 0 }) }) });
  const run = () => runOf(currentRuns(), place);
  const format = (checkpoint) => (run()?.sheets.length ? inKimg(run().sheets[checkpoint]) : 'no sheet yet');
  const time = slider('Time', { min: 0, max: 0, step: 1, value: 0, format, oninput: showCheckpoint });
  time.input.setAttribute('aria-label', `Time of sheet ${name}`);
  const playButton = button('Play', () => (playTimer ? stop() : play()));
  let playTimer = null;

  // The newest checkpoint is 0 in the state, so that further ones are shown as they come.
  function showCheckpoint(checkpoint) {
    const { sheets } = run();
    change({ sheets: withSheet(currentRuns(), place, { seen: checkpoint === sheets.length - 1 ? 0 : sheets[checkpoint] }) });
  }
  function chosenCheckpoint() {
    const checkpoint = run().sheets.indexOf(seenOf(currentRuns(), place));
    return checkpoint < 0 ? Math.max(0, run().sheets.length - 1) : checkpoint;
  }
  function play() {
    let next = chosenCheckpoint() === run().sheets.length - 1 ? 0 : chosenCheckpoint();
    playButton.textContent = 'Pause';
    playTimer = setInterval(() => {
      if (next >= run().sheets.length) stop();
      else showCheckpoint(next++);
    }, FRAME_MS);
  }
  function stop() {
    clearInterval(playTimer);
    playTimer = null;
    playButton.textContent = 'Play';
  }
  function draw() {
    const { sheets, name: runName } = run();
    fillRunList(runList, currentRuns(), run());
    runList.hidden = place === 0 || currentRuns().length < 2;
    time.input.max = String(Math.max(0, sheets.length - 1));
    time.set(chosenCheckpoint());
    const seen = sheets[chosenCheckpoint()];
    if (seen !== undefined) picture.show(sheetUrl(run(), seen), `Faces of seeds 0 to 63 of ${runName} after ${inKimg(seen)}`);
  }
  picture.element.title = 'Tap a face to follow it over time';
  picture.element.addEventListener('click', (event) => {
    const box = picture.element.getBoundingClientRect();
    const cell = (offset, length) => Math.max(0, Math.min(SHEET_SIDE - 1, Math.floor((offset / length) * SHEET_SIDE)));
    change({ followed: { sheet: place, seed: cell(event.clientY - box.top, box.height) * SHEET_SIDE + cell(event.clientX - box.left, box.width) } });
  });
  const element = h('figure', {}, h('div', { class: 'row' }, h('strong', {}, name), runList, playButton), time.element, picture.element);
  return { element, draw, stop() { stop(); picture.stop(); } };
}

// One seed at several checkpoints, evenly spaced over the run.
export function timeline(currentRuns) {
  const faces = h('div', { class: 'timeline' });
  const caption = h('p', { class: 'small soft' });
  const seedField = h('input', { type: 'number', min: '0', max: String(SHEET_SIDE ** 2 - 1), onchange() {
    const seed = Math.max(0, Math.min(SHEET_SIDE ** 2 - 1, Math.round(Number(seedField.value)) || 0));
    seedField.value = String(seed);
    change({ followed: { ...state.followed, seed } });
  } });
  let shown = '';

  function draw() {
    const { sheet, seed } = state.followed;
    const run = runOf(currentRuns(), Math.min(sheet, Math.max(0, state.sheets.length - 1)));
    const key = JSON.stringify([run.id, seed, run.sheets]);
    if (key === shown) return;
    shown = key;
    seedField.value = String(seed);
    caption.textContent = `Seed ${seed} of ${run.name}, from the first checkpoint to the last. Tap a face on a contact sheet to follow it.`;
    const last = run.sheets.length - 1;
    const places = new Set(Array.from({ length: MAX_TIMELINE }, (_, i) => Math.round((i * last) / (MAX_TIMELINE - 1))));
    faces.replaceChildren(...[...places].filter((place) => place >= 0).map((place) => {
      const seen = run.sheets[place];
      const canvas = h('canvas', { width: 64, height: 64, role: 'img', 'aria-label': `Seed ${seed} after ${inKimg(seen)}` });
      drawFromSheet(sheetUrl(run, seen), seed, canvas).catch(({ message }) => showProblem(message));
      return h('figure', {}, canvas, h('figcaption', {}, inKimg(seen)));
    }));
  }
  const element = h('section', { class: 'one', 'aria-label': 'One face over time' }, h('h2', {}, 'One face over time'),
    h('div', { class: 'row spread' }, caption, h('label', { class: 'field' }, h('span', {}, 'Seed'), seedField)), faces);
  return { element, draw };
}

async function drawFromSheet(url, seed, canvas) {
  const sheet = await createImageBitmap(await requestBlob(url));
  const side = (sheet.width - GAP_PX * (SHEET_SIDE - 1)) / SHEET_SIDE;
  const [left, top] = [seed % SHEET_SIDE, Math.floor(seed / SHEET_SIDE)].map((place) => place * (side + GAP_PX));
  canvas.width = canvas.height = side;
  canvas.getContext('2d').drawImage(sheet, left, top, side, side, 0, 0, side, side);
}
