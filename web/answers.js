// From logits to names.

/** Softmax. */
export function probabilities(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** The best classes, best first; of equals the lower number. */
export function best(logits, labels, { topk = 3, threshold = 0 } = {}) {
  const all = probabilities(logits);
  if (all.some(Number.isNaN)) throw new Error('The network gives no numbers for this image.');
  return Array.from(all, (probability, index) => ({ index, probability }))
    .sort((a, b) => b.probability - a.probability || a.index - b.index)
    .slice(0, topk)
    .filter(({ probability }) => probability >= threshold)
    .map(({ index, probability }) => ({ className: labels[index] ?? `class ${index}`, probability, index }));
}
