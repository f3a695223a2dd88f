// Shapes and lines of text, for a canvas.

function box(pen, left, top, across, down, radius) {
  pen.beginPath();
  pen.roundRect(left, top, across, down, Math.min(radius, across / 2));
  pen.fill();
}

function tick(pen, colour, place, top, height) {
  pen.fillStyle = colour;
  pen.fillRect(place - 1, top, 2, height);
}

// The text, or a shorter one, inside a bar; nothing where neither fits.
function inner(pen, text, shorter, left, middle, across) {
  const fits = [text, shorter].find((some) => some && pen.measureText(some).width < across - 10);
  if (fits) pen.fillText(fits, left + 7, middle);
}

// As much of the text as fits.
function clipped(pen, text, left, middle, across) {
  if (across < 16) return;
  let shown = text;
  if (pen.measureText(shown).width > across) {
    const share = across / pen.measureText(shown).width;
    shown = `${text.slice(0, Math.max(1, Math.floor(text.length * share) - 1))}…`;
  }
  pen.fillText(shown, left, middle);
}

// The text in lines, the last one cut short where there are too many.
function wrapped(pen, text, left, top, across, lineHeight, most) {
  if (across < 24 || !text) return;
  // No more of a long text than could ever be seen.
  const parts = text.slice(0, Math.ceil(across * most / 3)).split(/\s+/);
  let line = "";
  let drawn = 0;
  for (const part of parts) {
    const longer = line ? `${line} ${part}` : part;
    if (!line || pen.measureText(longer).width <= across) {
      line = longer;
      continue;
    }
    if (drawn === most - 1) {
      clipped(pen, longer, left, top + drawn * lineHeight, across);
      return;
    }
    clipped(pen, line, left, top + drawn * lineHeight, across);
    drawn += 1;
    line = part;
  }
  clipped(pen, line, left, top + drawn * lineHeight, across);
}
