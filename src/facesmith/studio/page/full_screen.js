// A walk that fills the screen. Used by the studio and by exported pages.

// Shows the canvas of a dialog on the full screen, instead of the dialog's first view.
export async function fillScreen(dialog, start, canvas) {
  start.hidden = true;
  canvas.hidden = false;
  dialog.classList.add('on');
  dialog.focus(); // so that it gets the keys
  try { await dialog.requestFullscreen(); } catch { /* the walk fills the window instead */ }
}

// Closes the dialog when the full screen ends. Returns a function that ends both.
export function closeWithFullScreen(dialog) {
  const close = () => { if (!document.fullscreenElement && dialog.open) dialog.close(); };
  document.addEventListener('fullscreenchange', close);
  return () => {
    document.removeEventListener('fullscreenchange', close);
    if (document.fullscreenElement) document.exitFullscreen();
    document.documentElement.classList.remove('staging');
    dialog.remove();
  };
}
