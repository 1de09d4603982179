// From a detector's numbers to objects: decode boxes, choose classes, drop what overlaps a better box.
// Each step is rounded to f32 where the native program rounds (`crates/detect`).

const f32 = Math.fround;

/** Objects with a lower score are mostly none. */
const LEAST_SCORE = 0.5;

/** A box as shares of the image's sides: top, left, bottom, right. */
function decoded(encodings, { anchors, rule: { scales } }, index) {
  const [y, x, height, width] = scales.map((scale, side) => encodings[4 * index + side] / f32(scale));
  const [centreY, centreX, high, wide] = anchors.subarray(4 * index, 4 * index + 4);
  const centre = [f32(y * high + centreY), f32(x * wide + centreX)];
  const half = [f32(0.5 * Math.exp(height) * high), f32(0.5 * Math.exp(width) * wide)];
  return [f32(centre[0] - half[0]), f32(centre[1] - half[1]), f32(centre[0] + half[0]), f32(centre[1] + half[1])];
}

const area = ([top, left, bottom, right]) => f32(f32(bottom - top) * f32(right - left));

/** The area that two boxes share, divided by the area that they cover together. */
function overlap(a, b) {
  const [first, second] = [area(a), area(b)];
  if (first <= 0 || second <= 0) return 0;
  const shared = (low, high) => Math.max(f32(Math.min(a[high], b[high]) - Math.max(a[low], b[low])), 0);
  const both = f32(shared(0, 2) * shared(1, 3));
  return f32(both / f32(f32(first + second) - both));
}

/** The best boxes of which none overlaps a better one too much. */
function suppressed(candidates, boxAt, most, mostOverlap) {
  candidates.sort((a, b) => b.score - a.score || a.index - b.index);
  const kept = [];
  for (const { score, index } of candidates) {
    if (kept.length === most) break;
    const box = boxAt(index);
    if (!kept.some((better) => overlap(better.box, box) > mostOverlap)) kept.push({ score, index, box });
  }
  return kept;
}

/** The part of a box inside the image. */
const clipped = (box) => box.map((side) => Math.min(Math.max(side, 0), 1));

/** What stays, with shares of the image's sides. */
function survivors(encodings, scores, detector, least, most) {
  const { anchors, rule } = detector;
  const count = anchors.length / 4;
  const columns = scores.length / count;
  const scoreAt = (index, category) => scores[index * columns + columns - rule.classes + category];
  const boxAt = (index) => decoded(encodings, detector, index);
  const mostOverlap = f32(rule.overlap);
  // TensorFlow's own rule: scores must be above the threshold, and boxes end with the image.
  const isOfGraph = rule.suppression === 'per class';
  const categories = Array.from({ length: rule.classes }, (_, category) => category);
  const above = (scoreOf) => {
    const candidates = [];
    for (let index = 0; index < count; index++) {
      const score = scoreOf(index);
      if (isOfGraph ? score > least : score >= least) candidates.push({ score, index });
    }
    return candidates;
  };
  if (rule.suppression === 'best') {
    const largest = (index) => categories.reduce((best, category) => Math.max(best, scoreAt(index, category)), -Infinity);
    return suppressed(above(largest), boxAt, most, mostOverlap).flatMap(({ index, box }) =>
      categories
        .map((category) => ({ category, score: scoreAt(index, category), box }))
        .sort((a, b) => b.score - a.score)
        .slice(0, rule.each));
  }
  return categories
    .flatMap((category) =>
      suppressed(above((index) => scoreAt(index, category)), boxAt, rule.each, mostOverlap)
        .map(({ score, box }) => ({ category, score, box: isOfGraph ? clipped(box) : box })))
    .filter(({ box }) => !isOfGraph || area(box) > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, most);
}

/** Rows and columns that the network sees of an image: more than it has, if it was made to fit into a size. */
function region(fits, image) {
  if (!fits) return image;
  const scale = Math.min(fits[0] / image[0], fits[1] / image[1]);
  const resized = image.map((side, axis) => Math.min(Math.max(Math.round(side * scale), 1), fits[axis]));
  return image.map((side, axis) => (fits[axis] * side) / resized[axis]);
}

/**
 * The objects in an image, best first. Boxes are in pixels inside it: top, left, bottom, right.
 *
 * @param outputs of `run`: encodings of the boxes are its features, scores its logits
 * @param size rows and columns of the image
 */
export function objects({ features, logits }, detector, labels, [rows, columns], { threshold = LEAST_SCORE, most } = {}) {
  if (features.some(Number.isNaN) || logits.some(Number.isNaN)) {
    throw new Error('The network gives no numbers for this image.');
  }
  const found = survivors(features, logits, detector, f32(threshold), most ?? detector.rule.most);
  const ends = [rows, columns, rows, columns];
  const seen = region(detector.fits, [rows, columns]);
  return found
    .map(({ category, score, box }) => {
      const index = category + detector.firstClass;
      const inside = box.map((share, side) => f32(Math.min(Math.max(share * seen[side % 2], 0), ends[side])));
      return { className: labels[category] || `class ${index}`, score, index, box: inside };
    })
    // A box may lie outside the image altogether.
    .filter(({ box }) => area(box) > 0);
}

/** What a file of weights says of its detector, checked; undefined if it is none. */
export function readDetector(own) {
  if (own === undefined) return undefined;
  const { anchors, first_class: firstClass, fits, rule } = own;
  const isCount = (number) => Number.isInteger(number) && number >= 0 && number <= 65536;
  const areNumbers = (numbers) => Array.isArray(numbers) && numbers.length > 0 && numbers.every(Number.isFinite);
  const isSound = areNumbers(anchors) && anchors.length % 4 === 0 && isCount(firstClass)
    && [rule?.classes, rule?.each, rule?.most].every((number) => isCount(number) && number > 0)
    && areNumbers(rule.scales) && rule.scales.length === 4 && rule.scales.every((scale) => scale > 0)
    && (fits == null || (areNumbers(fits) && fits.length === 2 && fits.every((side) => isCount(side) && side > 0)))
    && ['best', 'regular', 'per class'].includes(rule.suppression) && rule.overlap >= 0 && rule.overlap <= 1;
  return isSound ? { anchors: Float32Array.from(anchors), firstClass, fits, rule } : null;
}
