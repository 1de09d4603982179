// A canvas to draw clothes on, as the carried network knows them: light on black, 28 x 28.

const SIDE = 28;
/** Width of the line, in pixels of the canvas. */
const LINE = 60;
const CANVAS = 640;

/** Draws with a pointer; calls back when a line has grown. */
export class Drawing {
  #canvas;
  #paper;
  #changed;
  #last;
  active = false;

  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#paper = canvas.getContext('2d');
    this.#changed = changed;
    canvas.addEventListener('pointerdown', (event) => this.#begin(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(end, () => { this.#last = undefined; });
    }
  }

  start() {
    this.active = true;
    this.#canvas.classList.add('drawing');
    this.clear();
  }

  end() {
    this.active = false;
    this.#canvas.classList.remove('drawing');
  }

  clear() {
    this.#canvas.width = CANVAS;
    this.#canvas.height = CANVAS;
    this.#paper.fillRect(0, 0, CANVAS, CANVAS);
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((place) => (place / box.width) * CANVAS);
  }

  #begin(event) {
    if (!this.active) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#last = this.#at(event);
    this.#line(this.#last);
  }

  #move(event) {
    if (this.#last) this.#line(this.#at(event));
  }

  #line(to) {
    const paper = this.#paper;
    paper.strokeStyle = '#d0d0d0';
    paper.lineWidth = LINE;
    paper.lineCap = 'round';
    paper.beginPath();
    paper.moveTo(...this.#last);
    paper.lineTo(...to);
    paper.stroke();
    this.#last = to;
    this.#changed();
  }

  /** The drawing at the size of the photos that the network was trained on. */
  async pixels() {
    const small = document.createElement('canvas');
    small.width = SIDE;
    small.height = SIDE;
    const paper = small.getContext('2d', { willReadFrequently: true });
    paper.imageSmoothingQuality = 'high';
    paper.drawImage(this.#canvas, 0, 0, SIDE, SIDE);
    return paper.getImageData(0, 0, SIDE, SIDE);
  }
}
