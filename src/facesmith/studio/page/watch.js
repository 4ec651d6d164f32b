// A run while it trains: its fixed faces over time, curves, the doctor's words; several runs compared.

import { ask, askJson, h, say } from './dom.js';
import { head, notice, slider } from './parts.js';
import { state } from './state.js';

const SIDE = 8; // faces across a sheet
const GAP = 2;
const EVERY = 10_000; // milliseconds between two looks
const MOMENTS = 12;

export function watch() {
  const body = h('div', { class: 'part' }, h('p', { class: 'soft' }, 'Looking for runs …'));
  const element = h('section', { class: 'part', 'aria-label': 'Watch a run' }, head('Watch it learn', 'The same 64 seeds at every save of a training: first blurs, then faces, then details.'), body);
  let runs = [];
  let run = null;
  let views = [];
  let timer;

  async function look() {
    clearTimeout(timer);
    try {
      runs = await askJson('/api/runs');
    } catch (error) {
      body.replaceChildren(notice(error.message));
      return;
    }
    if (state.part !== 'watch') return;
    if (!runs.length) {
      body.replaceChildren(notice('No run is open. Start the studio with one, while it trains or later:', 'facesmith studio --run RUN'));
      return;
    }
    const known = runs.find(({ id }) => id === run?.id);
    const news = !run || !known || known.seen !== run.seen || known.state !== run.state;
    run = known ?? runs[0];
    if (!views.length) build();
    facts();
    if (news) await renew();
    timer = setTimeout(look, document.hidden ? 6 * EVERY : EVERY);
  }

  const choice = h('select', { onchange: () => { run = runs.find(({ id }) => id === choice.value); renew(); facts(); } });
  const bar = h('progress', { max: '1', 'aria-label': 'Progress of the training' });
  const list = h('dl', { class: 'facts' });
  const told = h('div', { class: 'part' });
  const life = h('div', { class: 'life' });
  const lifeWords = h('p', { class: 'small soft' }, 'Click a face on a sheet to see its life.');

  function build() {
    views = [view('A'), view('B')];
    const second = h('input', { type: 'checkbox', onchange: () => { views[1].element.hidden = !second.checked; if (second.checked) views[1].renew(); } });
    views[1].element.hidden = true;
    body.replaceChildren(
      h('div', { class: 'bar' }, h('label', { class: 'field' }, h('span', {}, 'Run'), choice), h('label', { class: 'check small' }, second, 'A second sheet beside it')),
      h('div', { class: 'panel' }, bar, list),
      h('div', { class: 'sheets' }, views.map(({ element: each }) => each),
        h('section', { class: 'one', 'aria-label': 'One face over time' }, h('h2', {}, 'One face over time'), lifeWords, life)), told);
  }

  // A sheet with its own run and moment.
  function view(name) {
    const of = h('select', { 'aria-label': `Run of sheet ${name}`, onchange: () => renewIt() });
    const image = h('img', { alt: '', class: 'sheet', width: 526, height: 526});
    const mine = () => runs.find(({ id }) => id === of.value) ?? run;
    const frames = () => mine()?.frames ?? [];
    const moment = (place) => (frames().length ? `${(frames()[place] / 1000).toFixed(1)} kimg` : 'no sheet yet');
    const scrub = slider('Moment', { min: 0, max: 0, step: 1, value: 0, format: moment, oninput: () => draw() });
    const play = h('button', { type: 'button', onclick: () => (ticking ? stop() : start()) }, 'Play');
    let ticking = null;
    let latest = true;
    let controller;

    async function draw() {
      const place = Number(scrub.input.value);
      latest = place === frames().length - 1;
      const seen = frames()[place];
      if (seen === undefined) return;
      controller?.abort();
      controller = new AbortController();
      try {
        const blob = await (await ask(sheetUrl(mine(), seen), { signal: controller.signal })).blob();
        const before = image.src;
        image.src = URL.createObjectURL(blob);
        if (before) URL.revokeObjectURL(before);
        image.alt = `Faces of seeds 0 to 63 of ${mine().name} after ${(seen / 1000).toFixed(1)} kimg`;
      } catch (error) { if (error.name !== 'AbortError') say(error.message); }
    }
    function start() {
      if (Number(scrub.input.value) >= frames().length - 1) scrub.set(0);
      play.textContent = 'Pause';
      ticking = setInterval(() => {
        const next = Number(scrub.input.value) + 1;
        if (next >= frames().length) return stop();
        scrub.set(next);
        return draw();
      }, 180);
    }
    function stop() { clearInterval(ticking); ticking = null; play.textContent = 'Play'; }
    function renewIt() {
      const chosen = of.value || run.id;
      of.replaceChildren(...runs.map(({ id, name: each }) => h('option', { value: id, selected: id === chosen }, each)));
      const last = Math.max(0, frames().length - 1);
      scrub.input.max = String(last);
      scrub.set(latest ? last : Math.min(Number(scrub.input.value), last));
      draw();
    }
    image.addEventListener('click', (event) => {
      const column = Math.min(SIDE - 1, Math.floor((event.offsetX / image.clientWidth) * SIDE));
      const row = Math.min(SIDE - 1, Math.floor((event.offsetY / image.clientHeight) * SIDE));
      live(mine(), row * SIDE + column);
    });
    const box = h('figure', {}, h('div', { class: 'row' }, h('strong', {}, name), runs.length > 1 && of, play), scrub.element, image);
    return { element: box, renew: renewIt, stop, follow: (id) => { of.value = id; renewIt(); } };
  }

  async function live(of, seed) {
    const last = of.frames.length - 1;
    const places = [...new Set(Array.from({ length: MOMENTS }, (_, i) => Math.round((i * last) / (MOMENTS - 1))))];
    lifeWords.textContent = `Seed ${seed} of ${of.name}, from its first save to its last.`;
    life.replaceChildren(...places.map((place) => {
      const canvas = h('canvas', { width: 64, height: 64, role: 'img', 'aria-label': `Seed ${seed} after ${(of.frames[place] / 1000).toFixed(1)} kimg` });
      cut(of, of.frames[place], seed, canvas);
      return h('figure', {}, canvas, h('figcaption', {}, `${(of.frames[place] / 1000).toFixed(1)} kimg`));
    }));
  }
  async function cut(of, seen, seed, canvas) {
    try {
      const sheet = await createImageBitmap(await (await ask(sheetUrl(of, seen))).blob());
      const side = (sheet.width - GAP * (SIDE - 1)) / SIDE;
      canvas.width = canvas.height = side;
      canvas.getContext('2d').drawImage(sheet, (seed % SIDE) * (side + GAP), Math.floor(seed / SIDE) * (side + GAP), side, side, 0, 0, side, side);
    } catch (error) { say(error.message); }
  }
  const sheetUrl = (of, seen) => `/api/sheet.png?${new URLSearchParams({ run: of.id, seen })}`;

  async function renew() {
    choice.replaceChildren(...runs.map(({ id, name }) => h('option', { value: id, selected: id === run.id }, name)));
    views[0].follow(run.id);
    if (!life.childElementCount && run.frames.length) live(run, 0);
    if (!views[1].element.hidden) views[1].renew();
    try {
      const { parts, how } = await askJson(`/api/run?${new URLSearchParams({ run: run.id })}`);
      const compared = runs.length > 1 ? await askJson(`/api/compare?${new URLSearchParams({ runs: runs.map(({ id }) => id).join(',') })}`) : [];
      const open = new Set([...told.querySelectorAll('details[open]')].map((each) => each.dataset.title));
      told.replaceChildren(
        ...(compared.length ? [h('section', { class: 'part' }, h('h2', {}, 'The runs beside each other'), h('div', { class: 'charts' }, compared.map(chart)))] : []),
        ...parts.map((each) => part(each, open)), h('p', { class: 'how' }, how));
    } catch (error) { say(error.message); }
  }

  function facts() {
    const pairs = [['Recipe', run.recipe], ['State', run.state], ['Seen', `${(run.seen / 1000).toFixed(1)} of ${(run.budget / 1000).toFixed(run.budget < 10_000 ? 1 : 0)} kimg`],
      ['Left', run.state === 'finished' ? 'nothing' : run.left ?? 'not known yet'], ['Last save', ago(run.saved_seconds_ago)]];
    bar.value = Math.min(1, run.seen / run.budget);
    list.replaceChildren(...pairs.map(([name, words]) => h('div', {}, h('dt', {}, name), h('dd', {}, words))));
  }

  function part({ title, lines = [], header = [], rows = [], bullets = [], how = '', charts = [] }, open) {
    const folded = !['What the doctor says', 'Who wins', 'What is missing'].includes(title);
    const inside = [...lines.map((words) => h('p', {}, words)), bullets.length ? h('ul', { class: 'told' }, bullets.map((words) => h('li', {}, words))) : null,
      charts.length ? h('div', { class: 'charts' }, charts.map(chart)) : null,
      rows.length ? h('div', { class: 'table' }, h('table', {}, header.length ? h('thead', {}, h('tr', {}, header.map((name) => h('th', { scope: 'col' }, name)))) : '', h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell) => h('td', {}, String(cell)))))))) : null,
      how ? h('p', { class: 'how' }, how) : null];
    if (folded) {
      const details = h('details', { open: open.has(title) }, h('summary', {}, title), h('div', { class: 'part', style: 'padding-top:.8rem' }, inside));
      details.dataset.title = title;
      return details;
    }
    return h('section', { class: 'part' }, h('h2', {}, title), inside);
  }

  return {
    element,
    use: { hint: 'Kept faces stay here.', click: () => {} },
    enter: look,
    leave() { clearTimeout(timer); for (const each of views) each.stop(); },
  };
}

const ago = (seconds) => (seconds < 90 ? `${seconds} s ago` : seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : seconds < 129_600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`);

// The server's own SVG; its texts are escaped where they are made.
function chart({ svg, legend, x_label: x, title }) {
  const drawing = new DOMParser().parseFromString(svg.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" '), 'image/svg+xml').documentElement;
  return h('figure', { class: 'chart' }, title ? h('strong', { class: 'small' }, title) : null,
    legend.length ? h('div', { class: 'legend' }, legend.map(([name, tone, dots]) => h('span', {}, h('i', { class: dots ? 'dot' : '', style: `background:var(--tone${((tone - 1) % 6) + 1})` }), name))) : null,
    document.importNode(drawing, true), x ? h('figcaption', { style: 'text-align:center' }, x) : null);
}
