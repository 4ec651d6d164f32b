// Requests to the server of the studio. All of them wait while it can't be reached, and go on when it answers again.

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 8000;
const MAX_POLL_MS = 60_000;
const MAX_BROKEN = 3; // attempts of one request whose connection breaks although the server answers others
const CLIENT = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

// An error whose text is written for the user.
export class RequestError extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

// Listeners are called with true when the server answers again, and with false when it does not answer.
const connectionListeners = new Set();
export const onConnection = (listener) => connectionListeners.add(listener);

let reconnection = null; // a promise while the server can't be reached

// Returns a successful response, or throws the server's message. Waits while the server is busy or can't be reached.
export async function request(url, options = {}) {
  const headers = { ...options.headers, 'X-Client': CLIENT };
  for (let attempt = 0, broken = 0; ; attempt++) {
    if (reconnection) await stoppable(reconnection, options.signal);
    let response;
    try {
      response = await fetch(url, { ...options, headers });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      await stoppable(reconnect(), options.signal);
      broken += 1;
      if (broken >= MAX_BROKEN) throw new RequestError('The connection to the studio broke. Try again.', 0);
      continue;
    }
    if (response.ok) return response;
    if (response.status === 503) {
      const seconds = Number(response.headers.get('retry-after')) || 1;
      await stoppable(pause(seconds * 1000 * Math.min(5, 0.5 + attempt / 2) * (0.75 + Math.random() / 2)), options.signal);
      continue;
    }
    let text = `The studio reports an error (${response.status}).`;
    try { text = (await response.json()).error ?? text; } catch { /* the body is not JSON */ }
    throw new RequestError(text, response.status);
  }
}

export const requestJson = async (url, options) => (await request(url, options)).json();
export const requestBlob = async (url, options) => (await request(url, options)).blob();

// Waits until the server answers. All requests share one such wait.
function reconnect() {
  reconnection ??= (async () => {
    for (const listener of connectionListeners) listener(false);
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(MAX_WAIT_MS, wait * 1.6)) {
      await pauseOrWakeUp(wait);
      try {
        if ((await fetch('api/models', { headers: { 'X-Client': CLIENT } })).status < 500) break; // 401: another token
      } catch { /* still no answer */ }
    }
    reconnection = null;
    for (const listener of connectionListeners) listener(true);
  })();
  return reconnection;
}

// Calls a task again and again. A failure is only a reason to wait longer. Returns a function that stops it.
export function poll(task, everyMs, hiddenMs = everyMs * 6) {
  const controller = new AbortController();
  (async () => {
    for (let failures = 0; !controller.signal.aborted;) {
      try {
        await task(controller.signal);
        failures = 0;
      } catch (error) {
        if (error.name === 'AbortError') return;
        failures += 1;
      }
      const wait = Math.min(MAX_POLL_MS, (document.hidden ? hiddenMs : everyMs) * 1.6 ** failures);
      await stoppable(pauseOrWakeUp(wait), controller.signal).catch(() => {});
    }
  })();
  return () => controller.abort();
}

// Imports a module of the page. A browser may remember a failed import, so each further attempt has its own URL.
export async function importModule(path) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await import(attempt ? `${path}?attempt=${attempt}` : path);
    } catch (error) {
      if (attempt > 20 || !(error instanceof TypeError)) throw error;
      await reconnect();
    }
  }
}

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// Ends early when the computer is back online, or the page is visible again.
async function pauseOrWakeUp(milliseconds) {
  const controller = new AbortController(); // removes the listeners
  const { signal } = controller;
  const wakeUp = new Promise((resolve) => {
    addEventListener('online', resolve, { signal });
    document.addEventListener('visibilitychange', () => document.hidden || resolve(), { signal });
  });
  await Promise.race([pause(milliseconds), wakeUp]);
  controller.abort();
}

// The same promise, but rejected at once when the signal stops it.
function stoppable(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException('stopped', 'AbortError'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
