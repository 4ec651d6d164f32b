// A project: everything on the screen and the kept faces, in a file.

import { addressOf, navigate, readAddress } from './address.js';
import { save } from './controls.js';
import { mergeKept } from './kept.js';
import { showMessage } from './messages.js';
import { studio } from './state.js';

const FORMAT = 'facesmith-studio-project';

export function saveProject() {
  const project = { format: FORMAT, version: 1, model: { name: studio.model.name, hash: studio.model.hash }, address: addressOf(undefined, ''), kept: studio.kept };
  save(new Blob([JSON.stringify(project, null, 2)], { type: 'application/json' }), 'facesmith-project.json');
}

export async function openProject(file) {
  let project;
  try { project = JSON.parse(await file.text()); } catch { project = null; }
  if (project?.format !== FORMAT || typeof project.address !== 'string' || !Array.isArray(project.kept)) return showMessage('This file is not a project of the studio.');
  const { values } = readAddress(project.address);
  navigate(values);
  // Only faces that the address could contain, too: a file may be damaged.
  const labels = new Map(project.kept.map((item) => [item?.face, item?.label]));
  const { kept } = readAddress(`#faces?kept=${encodeURIComponent([...labels.keys()].join(','))}`);
  mergeKept(kept.map((face) => ({ face, label: typeof labels.get(face) === 'string' ? labels.get(face) : undefined })), 'this project');
  return showMessage('Project opened');
}
