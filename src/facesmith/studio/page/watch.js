// A training run: its contact sheets over time, its progress, diagnosis and curves. Several runs can be compared.

import { chartFigure, table } from './charts.js';
import { button, capitalized, h } from './dom.js';
import { showMessage } from './messages.js';
import { poll, requestBlob, requestJson } from './server.js';
import { state } from './state.js';
import { openCard } from './tray.js';
import { heading, notice, slider } from './widgets.js';

const SHEET_SIDE = 8; // faces in each row and column of a contact sheet
const GAP_PX = 2;
const REFRESH_MS = 10_000;
const FRAME_MS = 180;
const MAX_TIMELINE = 12;

const inKimg = (seen, digits = 1) => `${(seen / 1000).toFixed(digits)} kimg`;
const sheetUrl = (run, seen) => `api/sheet.png?${new URLSearchParams({ run: run.id, seen })}`;

export function watchPart(signal) {
  const body = h('div', { class: 'part' }, h('p', { class: 'soft' }, 'Looking for runs …'));
  const element = h('section', { class: 'part', 'aria-label': 'Watch a run' }, heading('Watch it learn', 'The same 64 seeds at each checkpoint of a training run: first blurs, then faces, then details.'), body);
  let runs = [];
  let run = null; // one of runs
  let sheetViews = [];
  let stopPolling = () => {};

  const runList = h('select', { onchange: () => { run = runs.find(({ id }) => id === runList.value); showFacts(); showRun().catch(showProblem); } });
  const bar = h('progress', { max: '1', 'aria-label': 'Progress of the run' });
  const facts = h('dl', { class: 'facts' });
  const report = h('div', { class: 'part' });
  const timeline = h('div', { class: 'timeline' });
  const timelineCaption = h('p', { class: 'small soft' }, 'Tap a face on a contact sheet to follow it over time.');
  const seedChoice = h('input', { type: 'number', min: '0', max: String(SHEET_SIDE ** 2 - 1), value: '0', onchange: () => showTimeline(timelineRun ?? run, clampedSeed(seedChoice.value)) });
  let timelineRun = null;
  const clampedSeed = (text) => Math.max(0, Math.min(SHEET_SIDE ** 2 - 1, Math.round(Number(text)) || 0));
  const showProblem = (error) => error.name !== 'AbortError' && showMessage(error.message);

  async function refresh(pollSignal) {
    try {
      runs = await requestJson('api/runs', { signal: pollSignal });
    } catch (error) {
      if (error.name !== 'AbortError' && !sheetViews.length) body.replaceChildren(notice(error.message));
      throw error;
    }
    if (state.part !== 'watch') return;
    if (!runs.length) {
      body.replaceChildren(notice('No run is open. Start the studio with a run, during or after its training:', 'facesmith studio --run RUN'));
      return;
    }
    const updated = runs.find(({ id }) => id === run?.id);
    const hasChanged = !updated || updated.seen !== run.seen || updated.state !== run.state;
    if (!sheetViews.length) { run = updated ?? runs[0]; build(); }
    run = updated ?? runs[0];
    showFacts();
    if (hasChanged) await showRun(pollSignal);
  }

  function build() {
    const [first, second] = sheetViews = [createSheetView('A'), createSheetView('B')];
    const showSecond = h('input', { type: 'checkbox', onchange: () => { second.element.hidden = !showSecond.checked; if (showSecond.checked) second.update(); } });
    second.element.hidden = true;
    body.replaceChildren(
      h('div', { class: 'bar' }, h('label', { class: 'field' }, h('span', {}, 'Run'), runList), h('label', { class: 'check small' }, showSecond, 'Compare with a second contact sheet')),
      h('div', { class: 'panel' }, bar, facts),
      h('div', { class: 'sheets' }, first.element, second.element,
        h('section', { class: 'one', 'aria-label': 'One face over time' }, h('h2', {}, 'One face over time'),
          h('div', { class: 'row spread' }, timelineCaption, h('label', { class: 'field' }, h('span', {}, 'Seed'), seedChoice)), timeline)), report);
  }

  // A contact sheet with its own run, and a slider for the checkpoint.
  function createSheetView(name) {
    const runChoice = h('select', { 'aria-label': `Run of sheet ${name}`, onchange: () => update() });
    const image = h('img', { alt: '', class: 'sheet', width: 526, height: 526, title: 'Tap a face to follow it over time' });
    const chosenRun = () => runs.find(({ id }) => id === runChoice.value) ?? run;
    const sheets = () => chosenRun()?.sheets ?? [];
    const format = (place) => (sheets().length ? inKimg(sheets()[place]) : 'no sheet yet');
    const time = slider('Time', { min: 0, max: 0, step: 1, value: 0, format, oninput: () => draw() });
    time.input.setAttribute('aria-label', `Time of sheet ${name}`);
    const playButton = button('Play', () => (playTimer ? stop() : play()));
    let playTimer = null;
    let followsNewest = true;
    let controller;

    async function draw() {
      const place = Number(time.input.value);
      followsNewest = place === sheets().length - 1;
      const seen = sheets()[place];
      if (seen === undefined) return;
      controller?.abort();
      controller = new AbortController();
      try {
        const blob = await requestBlob(sheetUrl(chosenRun(), seen), { signal: controller.signal });
        const previous = image.src;
        image.src = URL.createObjectURL(blob);
        if (previous) URL.revokeObjectURL(previous);
        image.alt = `Faces of seeds 0 to 63 of ${chosenRun().name} after ${inKimg(seen)}`;
      } catch (error) { showProblem(error); }
    }
    function play() {
      if (Number(time.input.value) >= sheets().length - 1) time.set(0);
      playButton.textContent = 'Pause';
      playTimer = setInterval(() => {
        const next = Number(time.input.value) + 1;
        if (next >= sheets().length) return stop();
        time.set(next);
        return draw();
      }, FRAME_MS);
    }
    function stop() { clearInterval(playTimer); playTimer = null; playButton.textContent = 'Play'; }
    function update() {
      const chosen = runChoice.value || run.id;
      runChoice.replaceChildren(...runs.map(({ id, name: runName }) => h('option', { value: id, selected: id === chosen }, runName)));
      const last = Math.max(0, sheets().length - 1);
      time.input.max = String(last);
      time.set(followsNewest ? last : Math.min(Number(time.input.value), last));
      draw();
    }
    image.addEventListener('click', (event) => {
      const place = (offset, length) => Math.min(SHEET_SIDE - 1, Math.floor((offset / length) * SHEET_SIDE));
      showTimeline(chosenRun(), place(event.offsetY, image.clientHeight) * SHEET_SIDE + place(event.offsetX, image.clientWidth));
    });
    const figure = h('figure', {}, h('div', { class: 'row' }, h('strong', {}, name), runs.length > 1 && runChoice, playButton), time.element, image);
    return { element: figure, update, stop, showRun: (id) => { runChoice.value = id; update(); } };
  }

  // One seed at several checkpoints, evenly spaced over the run.
  function showTimeline(ofRun, seed) {
    timelineRun = ofRun;
    seedChoice.value = String(seed);
    const last = ofRun.sheets.length - 1;
    const places = [...new Set(Array.from({ length: MAX_TIMELINE }, (_, i) => Math.round((i * last) / (MAX_TIMELINE - 1))))];
    timelineCaption.textContent = `Seed ${seed} of ${ofRun.name}, from the first checkpoint to the last.`;
    timeline.replaceChildren(...places.filter((place) => place >= 0).map((place) => {
      const seen = ofRun.sheets[place];
      const canvas = h('canvas', { width: 64, height: 64, role: 'img', 'aria-label': `Seed ${seed} after ${inKimg(seen)}` });
      drawFromSheet(ofRun, seen, seed, canvas);
      return h('figure', {}, canvas, h('figcaption', {}, inKimg(seen)));
    }));
  }
  async function drawFromSheet(ofRun, seen, seed, canvas) {
    try {
      const sheet = await createImageBitmap(await requestBlob(sheetUrl(ofRun, seen)));
      const side = (sheet.width - GAP_PX * (SHEET_SIDE - 1)) / SHEET_SIDE;
      const [left, top] = [seed % SHEET_SIDE, Math.floor(seed / SHEET_SIDE)].map((place) => place * (side + GAP_PX));
      canvas.width = canvas.height = side;
      canvas.getContext('2d').drawImage(sheet, left, top, side, side, 0, 0, side, side);
    } catch (error) { showProblem(error); }
  }

  async function showRun(pollSignal) {
    runList.replaceChildren(...runs.map(({ id, name }) => h('option', { value: id, selected: id === run.id }, name)));
    const [first, second] = sheetViews;
    first.showRun(run.id);
    if (!timeline.childElementCount && run.sheets.length) showTimeline(run, 0);
    if (!second.element.hidden) second.update();
    const shownRun = run;
    const { sections, about_sheets: aboutSheets } = await requestJson(`api/run?${new URLSearchParams({ run: run.id })}`, { signal: pollSignal });
    const comparison = runs.length > 1 ? await requestJson(`api/compare?${new URLSearchParams({ runs: runs.map(({ id }) => id).join(',') })}`, { signal: pollSignal }) : [];
    if (run.id !== shownRun.id) return; // the user has chosen another run meanwhile
    const opened = new Set([...report.querySelectorAll('details[open]')].map((each) => each.dataset.title));
    report.replaceChildren(
      ...(comparison.length ? [h('section', { class: 'part' }, h('h2', {}, 'The runs compared'), h('div', { class: 'charts' }, comparison.map(chartFigure)))] : []),
      ...sections.map((section) => reportSection(section, opened)), h('p', { class: 'explanation' }, aboutSheets));
  }

  function showFacts() {
    const seen = `${(run.seen / 1000).toFixed(1)} of ${inKimg(run.budget, run.budget < 10_000 ? 1 : 0)}`;
    const timeLeft = run.state === 'finished' ? 'none' : run.time_left ?? 'unknown';
    const rows = [['Recipe', run.recipe], ['State', capitalized(run.state)], ['Images shown', seen], ['Time left', timeLeft], ['Last checkpoint', ago(run.seconds_since_checkpoint)]];
    bar.value = Math.min(1, run.seen / run.budget);
    facts.replaceChildren(...rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
  }

  const leave = () => { stopPolling(); for (const view of sheetViews) view.stop(); };
  signal.addEventListener('abort', leave);
  return {
    element,
    tray: { hint: 'Tap a face to open it.', onClick: openCard },
    enter() { stopPolling(); stopPolling = poll(refresh, REFRESH_MS); },
    leave,
  };
}

function ago(seconds) {
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129_600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}

// A section of the run's report. Folded sections stay open if the user has opened them.
function reportSection({ title, lines = [], header = [], rows = [], bullets = [], explanation = '', charts = [], open }, openedTitles) {
  const content = [...lines.map((line) => h('p', {}, line)), bullets.length ? h('ul', { class: 'messages' }, bullets.map((text) => h('li', {}, text))) : null,
    charts.length ? h('div', { class: 'charts' }, charts.map(chartFigure)) : null,
    rows.length ? table(header, rows, { label: title, isNumeric: () => false }) : null,
    explanation ? h('p', { class: 'explanation' }, explanation) : null];
  if (open) return h('section', { class: 'part' }, h('h2', {}, title), content);
  const details = h('details', { open: openedTitles.has(title) }, h('summary', {}, title), h('div', { class: 'part', style: 'padding-top:.8rem' }, content));
  details.dataset.title = title;
  return details;
}
