// The evaluation's numbers, and what they mean.

import { askJson, h, Picture } from './dom.js';
import { head, notice, show } from './parts.js';
import { apiUrl, state } from './state.js';

export function judge() {
  const body = h('div', { class: 'part' }, h('p', { class: 'soft' }, 'Looking for the evaluation …'));
  const element = h('section', { class: 'part', 'aria-label': 'Judge' }, head('How good is it?', 'What an evaluation of this generator has found, in words and numbers.'), body);
  const number = (value) => (value === null || value === undefined ? '–' : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString());
  const range = ({ value, high }) => (high === null ? number(value) : `${number(value)} ± ${number(high - value)}`);

  function table(header, rows) {
    return h('div', { class: 'table', tabIndex: 0, role: 'group', 'aria-label': header[0] }, h('table', {},
      h('thead', {}, h('tr', {}, header.map((name, i) => h('th', { class: i && i < header.length - 1 ? 'num' : '', scope: 'col' }, name)))),
      h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell, i) => h('td', { class: i && i < row.length - 1 ? 'num' : '' }, cell)))))));
  }

  function nearest(told) {
    const grid = h('div', { class: 'verdicts' });
    const draw = (pictures) => grid.replaceChildren(...told.closest.slice(0, 12).map((pair, place) => {
      const sample = new Picture();
      show(sample, String(pair.seed), `Sample of seed ${pair.seed}`);
      const shown = [h('figure', {}, sample.element, h('figcaption', {}, `seed ${pair.seed}`))];
      if (pictures) {
        const real = new Picture().show(apiUrl('real.png', { pair: place, kind: 'training' }), `The training photo nearest to seed ${pair.seed}`);
        shown.push(h('figure', {}, real.element, h('figcaption', {}, 'training photo')));
      }
      return h('div', { class: 'panel' }, h('div', { class: 'pair' }, shown), h('p', { class: 'small' }, `${number(pair.to_training)} away from the nearest training face, ${number(pair.to_held_out)} from the nearest unseen one: ratio ${number(pair.ratio)}`));
    }));
    const allow = h('input', { type: 'checkbox', onchange: () => draw(allow.checked) });
    draw(false);
    return [h('h2', {}, 'Nearest training faces'),
      h('p', { class: 'soft' }, 'Of a copy, the distance to a training face is far smaller than to any face that the training never saw: the ratio is far below 1.', told.threshold ? ` Here copies would lie below ${number(told.threshold)}.` : ''),
      h('label', { class: 'check' }, allow, 'Show the training photos, too. They show real people.'), grid];
  }

  return {
    element,
    use: { hint: 'Kept faces stay here.', click: () => {} },
    async enter() {
      try {
        const told = await askJson(apiUrl('judge', {}));
        if (told.missing) { body.replaceChildren(notice(told.missing, told.command)); return; }
        body.replaceChildren(
          h('div', { class: 'verdicts' }, told.verdicts.map(({ question, answer }) => h('div', { class: 'panel' }, h('h2', {}, question), h('p', {}, answer)))),
          ...[told.notice, ...told.warnings].filter(Boolean).map((words) => notice(words)),
          h('h2', {}, 'Numbers'), h('p', { class: 'soft' }, told.about),
          table(['metric', 'this generator', 'real faces', 'what it means'], [
            ...told.metrics.map((metric) => [h('code', {}, metric.name), range(metric), number(metric.real), metric.meaning]),
            ['faces found', `${(told.face_rate.value * 100).toFixed(1)} %`, told.face_rate.real === null ? '–' : `${(told.face_rate.real * 100).toFixed(1)} %`, 'share of pictures in which a detector finds a face'],
          ]), ...nearest(told));
      } catch (error) {
        body.replaceChildren(notice(error.message));
      }
    },
  };
}
