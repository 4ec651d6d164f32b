// A picture that loads from a URL. Its space is reserved from the start, so nothing shifts when it arrives.

import { h } from './dom.js';
import { showProblem } from './messages.js';
import { requestBlob } from './server.js';

const SLOW_MS = 400;

export class Picture {
  constructor(label = '') {
    this.img = h('img', { alt: label, decoding: 'async', draggable: 'false' });
    this.element = h('span', { class: 'face' }, this.img);
    this.requested = this.shown = null; // URLs
    this.loading = false;
  }

  // One request runs at a time: the newest URL replaces those that wait, and cancels a slow request of another URL.
  show(url, label) {
    if (label !== undefined) this.img.alt = label;
    this.requested = url;
    if (!this.loading) this.#load();
    else if (url !== this.url && performance.now() - this.started > SLOW_MS) this.controller.abort();
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
    this.#showError('');
  }

  async #load() {
    this.loading = true;
    while (this.requested && this.requested !== this.shown) {
      const url = this.url = this.requested;
      this.controller = new AbortController();
      this.started = performance.now();
      try {
        const blob = await requestBlob(url, { signal: this.controller.signal });
        const previous = this.objectUrl;
        this.img.src = this.objectUrl = URL.createObjectURL(blob);
        await this.img.decode().catch(() => {});
        if (previous) URL.revokeObjectURL(previous);
        this.shown = url;
        this.img.classList.add('loaded');
        this.#showError('');
      } catch (error) {
        if (error.name !== 'AbortError' && this.requested === url) {
          this.requested = this.shown;
          this.#showError(error.message);
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
    this.shown = null; // so that showing the same URL tries again
    // Small pictures have no room for the whole text, so it is also a message.
    this.element.append(this.error = h('span', { class: 'error', title: text }, h('span', {}, text)));
    showProblem(text);
  }
}
