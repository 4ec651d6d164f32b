// Elements, words to the person, and requests that say what went wrong.

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

let toasting;
export function say(words) {
  const toast = document.getElementById('toast');
  toast.textContent = words;
  toast.classList.add('on');
  clearTimeout(toasting);
  toasting = setTimeout(() => toast.classList.remove('on'), 3200);
}

export class Refused extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

// A response that is well; else what the server says of it. "Busy" is waited for, a few times.
export async function ask(url, options = {}) {
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(url, options);
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Refused('The studio does not answer. Is facesmith studio still running?', 0);
    }
    if (response.ok) return response;
    if (response.status === 503 && attempt < 8) {
      await pause(250 * 1.6 ** attempt * (0.75 + Math.random() / 2), options.signal);
      continue;
    }
    let words = `The studio answers with an error (${response.status}).`;
    try { words = (await response.json()).error ?? words; } catch { /* it was no JSON */ }
    throw new Refused(words, response.status);
  }
}

export const askJson = async (url, options) => (await ask(url, options)).json();

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(new DOMException('stopped', 'AbortError')); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', stop); resolve(); }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say('The browser does not let this page copy. Select the text instead.');
  }
}

// Where a picture will be: its size is kept from the start, so nothing moves when it comes.
export class Picture {
  constructor(label = '') {
    this.img = h('img', { alt: label, decoding: 'async', draggable: 'false' });
    this.element = h('span', { class: 'face' }, this.img);
    this.wanted = this.shown = null;
    this.running = false;
  }

  // Shows what an address gives. While one is on its way, only the newest waits; one that is late is given up for it.
  show(url, label) {
    if (label !== undefined) this.img.alt = label;
    this.wanted = url;
    if (!this.running) this.#run();
    else if (performance.now() - this.started > 400) this.controller.abort();
    return this;
  }

  stop() {
    this.wanted = this.shown;
    this.controller?.abort();
  }

  clear() {
    this.stop();
    this.wanted = this.shown = null;
    this.img.classList.remove('here');
  }

  async #run() {
    this.running = true;
    while (this.wanted && this.wanted !== this.shown) {
      const url = this.wanted;
      this.controller = new AbortController();
      this.started = performance.now();
      try {
        const blob = await (await ask(url, { signal: this.controller.signal })).blob();
        const address = URL.createObjectURL(blob);
        const before = this.address;
        this.img.src = this.address = address;
        await this.img.decode().catch(() => {});
        if (before) URL.revokeObjectURL(before);
        this.shown = url;
        this.img.classList.add('here');
        this.#oops('');
        this.onshown?.(performance.now() - this.started);
      } catch (error) {
        if (error.name !== 'AbortError') {
          if (this.wanted === url) {
            this.wanted = this.shown;
            this.#oops(error.message);
          }
        } else if (this.wanted === url) this.wanted = this.shown;
      }
    }
    this.running = false;
  }

  #oops(words) {
    this.oops?.remove();
    this.oops = null;
    if (!words) return;
    this.img.classList.remove('here');
    this.element.append(this.oops = h('span', { class: 'oops' }, words));
  }
}
