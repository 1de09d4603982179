// Boxes and names over a picture.

const SVG = 'http://www.w3.org/2000/svg';

/** Height of names, as a share of the picture's longer side. */
const NAME = 1 / 22;

function svgElement(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Draws objects in a picture of some rows and columns, which lies behind and is as large as fits. */
export function drawBoxes(svg, objects, [rows, columns]) {
  svg.setAttribute('viewBox', `0 0 ${columns} ${rows}`);
  const size = NAME * Math.max(rows, columns);
  // The best ones last, on top.
  svg.replaceChildren(...[...objects].reverse().flatMap(({ className, box: [top, left, bottom, right] }) => {
    const name = svgElement('text', { x: left + size / 4, y: Math.max(top, 0) + size, 'font-size': size });
    name.textContent = className;
    return [svgElement('rect', { x: left, y: top, width: right - left, height: bottom - top }), name];
  }));
}
