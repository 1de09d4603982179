// Keeps the page's own files, so that it works without a connection after the first visit. A file
// comes from the network if that answers, so that a new version is never hidden. It serves pages from
// the next visit on: Firefox breaks off what a page is loading at the moment it is claimed.

const CACHE = 'mobilenet-web';
const OWN = [
  './', 'index.html', 'page.css', 'page.js', 'drawing.js', 'index.js', 'answers.js', 'boxes.js', 'detect.js', 'engine.js',
  'embedded.js', 'images.js', 'worker.js', 'thread.js', 'weights.js', 'icon.svg', 'models.json',
  'mobilenet.wasm', 'mobilenet.relaxed.wasm', 'mobilenet.integers.wasm', 'mobilenet.integers.relaxed.wasm',
];

addEventListener('install', (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(OWN);
    const { models } = await (await cache.match('models.json')).json();
    // The model that the page begins with; others are kept when they are used.
    if (models[0]) await cache.add(models[0].file);
  };
  event.waitUntil(keep().then(() => skipWaiting()));
});

addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    try {
      const response = await fetch(request);
      if (response.ok) await cache.put(request, response.clone());
      return response;
    } catch (error) {
      const kept = await cache.match(request, { ignoreSearch: true });
      if (kept) return kept;
      throw error;
    }
  };
  event.respondWith(answer());
});
