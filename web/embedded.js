// Files inside the page itself, where `cargo xtask web --single-file` put them.

const element = (name) => document.getElementById(`file:${name}`);

/** Whether the page is a single file. */
export const isEmbedded = element('models.json') !== null;

/** A text. */
export const embeddedText = (name) => element(name).textContent;

/** Bytes. */
export async function embeddedBytes(name) {
  const response = await fetch(`data:application/octet-stream;base64,${embeddedText(name)}`);
  return response.arrayBuffer();
}

/** A script, for a worker. */
export const embeddedScript = (name) => URL.createObjectURL(new Blob([embeddedText(name)], { type: 'text/javascript' }));
