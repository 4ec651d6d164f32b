// Charts and tables. Each chart has its numbers as a table, for people who can't see it.

import { h } from './dom.js';

const COLORS = 6;

// The SVG comes from the server, which escapes its texts.
export function chartFigure({ svg, legend, x_label: xLabel, title, table: [header, ...rows] = [] }) {
  const names = title && header?.length === 2 ? [header[0], title] : header; // the only line has the title of its chart
  const drawing = new DOMParser().parseFromString(svg.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" '), 'image/svg+xml').documentElement;
  return h('figure', { class: 'chart' }, title ? h('strong', { class: 'small' }, title) : null,
    legend.length ? h('div', { class: 'legend' }, legend.map(([name, tone, dots]) => h('span', {}, h('i', { class: dots ? 'dot' : '', style: `background:var(--tone${((tone - 1) % COLORS) + 1})` }), name))) : null,
    document.importNode(drawing, true), xLabel ? h('figcaption', { style: 'text-align:center' }, xLabel) : null,
    rows.length ? h('details', { class: 'numbers' }, h('summary', { 'aria-label': `Numbers of the chart ${title || xLabel}` }, 'Numbers'), table(names, rows, { label: `Numbers of ${title || 'the chart'}` })) : null);
}

// A table. Columns whose place `isNumeric` accepts are aligned to the right. It scrolls sideways on narrow screens.
export function table(header, rows, { label, isNumeric = () => true, stacked = false } = {}) {
  const properties = (place) => ({ class: isNumeric(place) ? 'num' : '', 'data-label': header[place] });
  return h('div', { class: stacked ? 'table stacked' : 'table', tabIndex: 0, role: 'group', 'aria-label': label ?? header[0] }, h('table', {},
    header.length ? h('thead', {}, h('tr', {}, header.map((name, place) => h('th', { ...properties(place), scope: 'col' }, name)))) : null,
    h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell, place) => h('td', properties(place), cell instanceof Node ? cell : String(cell))))))));
}
