// A training run: its contact sheets over time, its progress, diagnosis and curves. Several runs can be compared.

import { navigate } from './address.js';
import { chartFigure, table } from './charts.js';
import { contactSheet, fillRunList, inKimg, runOf, timeline, withSheet } from './contact_sheets.js';
import { heading } from './controls.js';
import { capitalized, h } from './dom.js';
import { poll, requestJson } from './server.js';
import { change, loadModels, onChange, state, studio } from './state.js';
import { openCard } from './tray.js';
import { notice } from './widgets.js';

const REFRESH_MS = 10_000;

export function watchPart(signal) {
  let runs = [];
  let reported = ''; // the run and the checkpoint of the report on the page
  let stopPolling = () => {};
  const currentRuns = () => runs;
  const sheets = [0, 1].map((place) => contactSheet(place, currentRuns));
  const faceOverTime = timeline(currentRuns);

  const runList = h('select', { onchange: () => navigate({ sheets: withSheet(runs, 0, { run: runList.value, seen: 0 }) }) });
  const withSecond = h('input', { type: 'checkbox', onchange: () => change({ sheets: withSecond.checked ? withSheet(runs, 1, {}) : withSheet(runs, 0, {}).slice(0, 1) }) });
  const bar = h('progress', { max: '1', 'aria-label': 'Progress of the run' });
  const facts = h('dl', { class: 'facts' });
  const report = h('div', { class: 'part' });
  const otherRun = notice('The run of this link is not open here.', 'facesmith studio --run RUN');
  const content = [otherRun,
    h('div', { class: 'bar' }, h('label', { class: 'field' }, h('span', {}, 'Run'), runList), h('label', { class: 'check small' }, withSecond, 'Compare with a second contact sheet')),
    h('div', { class: 'panel' }, bar, facts),
    h('div', { class: 'sheets' }, sheets.map(({ element }) => element), faceOverTime.element), report];
  const body = h('div', { class: 'part' }, h('p', { class: 'soft' }, 'Looking for runs …'));
  const element = h('section', { class: 'part', 'aria-label': 'Watch a run' }, heading('Watch it learn', 'The same 64 seeds at each checkpoint of a training run: first blurs, then faces, then details.'), body);

  async function refresh(pollSignal) {
    try {
      runs = await requestJson('api/runs', { signal: pollSignal });
    } catch (error) {
      if (error.name !== 'AbortError' && !runs.length) body.replaceChildren(notice(error.message));
      throw error;
    }
    if (runs.length && !report.isConnected) body.replaceChildren(...content);
    if (!runs.length) body.replaceChildren(notice('No run is open. Start the studio with a run, during or after its training:', 'facesmith studio --run RUN'));
    draw();
    await showReport(pollSignal);
    if (!studio.model) await loadModels(); // the run may have written its first one
  }

  function draw() {
    if (state.part !== 'watch' || !runs.length) return;
    const run = runOf(runs, 0);
    fillRunList(runList, runs, run);
    withSecond.checked = state.sheets.length > 1;
    sheets[1].element.hidden = state.sheets.length < 2;
    otherRun.hidden = state.sheets.every((sheet) => runs.some(({ id }) => id === sheet.run));
    for (const sheet of sheets) if (!sheet.element.hidden) sheet.draw();
    faceOverTime.draw();
    showFacts(run);
  }

  function showFacts(run) {
    const seen = `${(run.seen / 1000).toFixed(1)} of ${inKimg(run.budget, run.budget < 10_000 ? 1 : 0)}`;
    const timeLeft = run.state === 'finished' ? 'none' : run.time_left ?? 'unknown';
    const rows = [['Recipe', run.recipe], ['State', capitalized(run.state)], ['Images shown', seen], ['Time left', timeLeft], ['Last checkpoint', ago(run.seconds_since_checkpoint)]];
    bar.value = Math.min(1, run.seen / run.budget);
    facts.replaceChildren(...rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
  }

  // Shows the diagnosis and the curves of the chosen run, if there are newer ones.
  async function showReport(pollSignal) {
    const run = runs.length ? runOf(runs, 0) : null;
    const key = run && JSON.stringify([run.id, run.state, runs.map(({ id, seen }) => [id, seen])]);
    if (!run || key === reported) return;
    const { sections, about_sheets: aboutSheets } = await requestJson(`api/run?${new URLSearchParams({ run: run.id })}`, { signal: pollSignal });
    const comparison = runs.length > 1 ? await requestJson(`api/compare?${new URLSearchParams({ runs: runs.map(({ id }) => id).join(',') })}`, { signal: pollSignal }) : [];
    if (runOf(runs, 0).id !== run.id) return; // the user has chosen another run meanwhile
    reported = key;
    const opened = new Set([...report.querySelectorAll('details[open]')].map((each) => each.dataset.title));
    report.replaceChildren(
      ...(comparison.length ? [h('section', { class: 'part' }, h('h2', {}, 'The runs compared'), h('div', { class: 'charts' }, comparison.map(chartFigure)))] : []),
      ...sections.map((section) => reportSection(section, opened)), h('p', { class: 'explanation' }, aboutSheets));
  }

  onChange((names) => {
    if (!names.some((each) => each === 'sheets' || each === 'followed')) return;
    draw();
    if (state.part === 'watch') showReport().catch(() => {}); // the next poll tries again
  }, signal);
  const leave = () => { stopPolling(); for (const sheet of sheets) sheet.stop(); };
  signal.addEventListener('abort', leave);
  return {
    element,
    tray: { hint: 'Tap a face to open it.', onClick: openCard },
    enter() { draw(); stopPolling(); stopPolling = poll(refresh, REFRESH_MS); },
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
  const details = h('details', { open: openedTitles.has(title) }, h('summary', {}, title), h('div', { class: 'part' }, content));
  details.dataset.title = title;
  return details;
}
