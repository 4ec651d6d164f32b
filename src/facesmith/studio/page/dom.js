// Elements, messages to the user, requests to the server, and pictures that load.

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

let messageTimer;
export function showMessage(text) {
  const message = document.getElementById('message');
  message.textContent = text;
  message.classList.add('on');
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => message.classList.remove('on'), 3200);
}

// An error whose text is written for the user.
export class RequestError extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

// Returns a successful response, or throws the server's message. Retries a few times while the server is busy.
export async function request(url, options = {}) {
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(url, options);
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new RequestError('The studio does not respond. Is facesmith studio still running?', 0);
    }
    if (response.ok) return response;
    if (response.status === 503 && attempt < 8) {
      await pause(250 * 1.6 ** attempt * (0.75 + Math.random() / 2), options.signal);
      continue;
    }
    let text = `The studio reports an error (${response.status}).`;
    try { text = (await response.json()).error ?? text; } catch { /* the body is not JSON */ }
    throw new RequestError(text, response.status);
  }
}

export const requestJson = async (url, options) => (await request(url, options)).json();

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(new DOMException('stopped', 'AbortError')); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', stop); resolve(); }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

export async function copy(text, name) {
  try {
    await navigator.clipboard.writeText(text);
    showMessage(`${name} copied`);
  } catch {
    showMessage('The browser does not let this page copy. Select the text instead.');
  }
}

// A picture that loads from a URL. Its space is reserved from the start, so nothing shifts when it arrives.
export class Picture {
  constructor(label = '') {
    this.img = h('img', { alt: label, decoding: 'async', draggable: 'false' });
    this.element = h('span', { class: 'face' }, this.img);
    this.requested = this.shown = null; // URLs
    this.loading = false;
  }

  // One request runs at a time: the newest URL replaces those that wait, and cancels a request that is slow.
  show(url, label) {
    if (label !== undefined) this.img.alt = label;
    this.requested = url;
    if (!this.loading) this.#load();
    else if (performance.now() - this.started > 400) this.controller.abort();
    return this;
  }

  stop() {
    this.requested = this.shown;
    this.controller?.abort();
  }

  clear() {
    this.stop();
    this.requested = this.shown = null;
    this.img.classList.remove('loaded');
  }

  async #load() {
    this.loading = true;
    while (this.requested && this.requested !== this.shown) {
      const url = this.requested;
      this.controller = new AbortController();
      this.started = performance.now();
      try {
        const blob = await (await request(url, { signal: this.controller.signal })).blob();
        const previous = this.objectUrl;
        this.img.src = this.objectUrl = URL.createObjectURL(blob);
        await this.img.decode().catch(() => {});
        if (previous) URL.revokeObjectURL(previous);
        this.shown = url;
        this.img.classList.add('loaded');
        this.#showError('');
      } catch (error) {
        if (this.requested === url) {
          this.requested = this.shown;
          if (error.name !== 'AbortError') this.#showError(error.message);
        }
      }
    }
    this.loading = false;
  }

  #showError(text) {
    this.error?.remove();
    this.error = null;
    if (!text) return;
    this.img.classList.remove('loaded');
    this.element.append(this.error = h('span', { class: 'error' }, text));
  }
}
