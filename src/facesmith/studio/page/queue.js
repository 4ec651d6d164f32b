// Says how long a film, a zip file or a search for a face still waits for others.

import { poll, requestJson } from './server.js';

const POLL_MS = 1000;

// Shows the position in the queue until the returned function is called.
export function watchQueue(kind, show, busyText) {
  show(busyText);
  return poll(async (signal) => {
    const { jobs = [] } = await requestJson('api/queue', { signal });
    const job = jobs.find((each) => each.kind === kind);
    if (job && !signal.aborted) show(waitText(job, busyText));
  }, POLL_MS, POLL_MS);
}

export function waitText({ ahead, seconds_left: seconds }, busyText) {
  const left = seconds === null || seconds === undefined ? '' : ` about ${duration(seconds)} left`;
  if (!ahead) return left ? `${busyText}${left}` : busyText;
  return `Waiting: ${ahead === 1 ? '1 job is' : `${ahead} jobs are`} before yours${left && `,${left}`}.`;
}

const duration = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);
