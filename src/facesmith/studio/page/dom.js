// Elements, and lists of elements that keep the keyboard focus when they change.

// Creates an element. Properties that start with "on" are event listeners.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') element.style.cssText = value;
    else if (name in element && typeof value !== 'string') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const button = (text, onclick, properties = {}) => h('button', { type: 'button', onclick, ...properties }, text);

export const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Returns a function that draws a list of items into a container. Each item keeps its element, so pictures don't load
// again. The focus stays on the same control of the same item. If its item is gone, it moves to the item that took the
// place, or to `fallback`. A control is an element with the attribute data-control.
//   keyOf(item): text; items with the same text are distinguished by their order.
//   create(item): an element.
//   update(element, item, place)
export function listDrawer(container, { keyOf, create, update, fallback }) {
  const elements = new Map();
  return (items) => {
    const focused = container.contains(document.activeElement) ? document.activeElement : null;
    const control = focused?.dataset.control;
    const placeOfFocus = focused ? [...container.children].findIndex((child) => child.contains(focused)) : -1;

    const counts = new Map();
    const used = new Set();
    items.forEach((item, place) => {
      const text = keyOf(item);
      counts.set(text, (counts.get(text) ?? 0) + 1);
      const key = `${text}#${counts.get(text)}`;
      used.add(key);
      if (!elements.has(key)) elements.set(key, create(item));
      const element = elements.get(key);
      if (container.children[place] !== element) container.insertBefore(element, container.children[place] ?? null);
      update(element, item, place);
    });
    for (const [key, element] of elements) if (!used.has(key)) { element.remove(); elements.delete(key); }

    if (!focused || document.activeElement === focused) return;
    if (focused.isConnected && container.contains(focused)) { focused.focus(); return; }
    const nearby = container.children[Math.min(placeOfFocus, items.length - 1)];
    (nearby?.querySelector(`[data-control="${control}"]`) ?? fallback?.())?.focus();
  };
}
