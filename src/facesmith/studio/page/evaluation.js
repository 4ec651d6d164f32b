// The evaluation of the generator: verdicts, metrics, and the samples nearest to training faces.

import { table } from './charts.js';
import { heading } from './controls.js';
import { h } from './dom.js';
import { Picture } from './picture.js';
import { requestJson } from './server.js';
import { apiUrl } from './state.js';
import { openCard } from './tray.js';
import { notice, showFace } from './widgets.js';

const MAX_PAIRS = 12;

export function evaluationPart() {
  const body = h('div', { class: 'part' }, h('p', { class: 'soft' }, 'Looking for the evaluation …'));
  const element = h('section', { class: 'part', 'aria-label': 'Evaluation' }, heading('How good is it?', 'The evaluation of this generator: the answers, and the numbers behind them.'), body);

  async function enter() {
    try {
      const evaluation = await requestJson(apiUrl('evaluation', {}));
      if (evaluation.missing) body.replaceChildren(notice(evaluation.missing, evaluation.command));
      else body.replaceChildren(...content(evaluation));
    } catch (error) {
      body.replaceChildren(notice(error.message));
    }
  }
  return { element, tray: { hint: 'Tap a face to open it.', onClick: openCard }, enter };
}

function content(evaluation) {
  return [
    h('div', { class: 'verdicts' }, evaluation.verdicts.map(({ question, answer }) => h('div', { class: 'panel' }, h('h2', {}, question), h('p', {}, answer)))),
    ...[evaluation.notice, ...evaluation.warnings].filter(Boolean).map((text) => notice(text)),
    h('h2', {}, 'Numbers'), h('p', { class: 'soft' }, evaluation.about),
    table(['Metric', 'This generator', 'Real faces', 'What it means'], [
      ...evaluation.metrics.map((metric) => [h('code', {}, metric.name), withInterval(metric), rounded(metric.real), metric.meaning]),
      ['faces found', percent(evaluation.face_rate.value), percent(evaluation.face_rate.real), 'share of pictures in which a detector finds a face'],
    ], { label: 'Metrics', isNumeric: (place) => place === 1 || place === 2, stacked: true }),
    ...nearestPairs(evaluation),
  ];
}

const isMissing = (value) => value === null || value === undefined;
const rounded = (value) => (isMissing(value) ? '–' : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString());
const withInterval = ({ value, high }) => (high === null ? rounded(value) : `${rounded(value)} ± ${rounded(high - value)}`);
const percent = (value) => (isMissing(value) ? '–' : `${(value * 100).toFixed(1)} %`);

function nearestPairs({ nearest_pairs: pairs, threshold, psi }) {
  const grid = h('div', { class: 'verdicts' });
  const draw = (showPhotos) => grid.replaceChildren(...pairs.slice(0, MAX_PAIRS).map((pair, place) => pairPanel(pair, place, psi, showPhotos)));
  const showPhotos = h('input', { type: 'checkbox', onchange: () => draw(showPhotos.checked) });
  draw(false);
  return [h('h2', {}, 'Nearest training faces'),
    h('p', { class: 'soft' }, 'Did the generator copy training faces? A copy is much closer to a training face than to any held-out face: its ratio is far below 1.', isMissing(threshold) ? '' : ` Here, copies would be below ${rounded(threshold)}.`),
    h('label', { class: 'check' }, showPhotos, 'Show the training photos, too. They show real people.'), grid];
}

function pairPanel(pair, place, psi, showPhoto) {
  const sample = new Picture();
  showFace(sample, String(pair.seed), `Sample of seed ${pair.seed}`, { psi });
  const figures = [h('figure', {}, sample.element, h('figcaption', {}, `seed ${pair.seed}`))];
  if (showPhoto) {
    const photo = new Picture().show(apiUrl('real.png', { pair: place, kind: 'training' }), `The training photo nearest to seed ${pair.seed}`);
    figures.push(h('figure', {}, photo.element, h('figcaption', {}, 'training photo')));
  }
  return h('div', { class: 'panel' }, h('div', { class: 'pair' }, figures),
    h('p', { class: 'small' }, `Distance to the nearest training face: ${rounded(pair.to_training)}. To the nearest held-out face: ${rounded(pair.to_held_out)}. Ratio: ${rounded(pair.ratio)}.`));
}
