// From files, elements and frames to pixels.

/** Most pixels of an image. */
const MOST_PIXELS = 100e6;

/** The upright pixels of whatever the browser can read. Colours stay as the file has them. */
export async function bitmapOf(source) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(source, { colorSpaceConversion: 'none' });
  } catch (error) {
    const name = source?.name ? `“${source.name}”` : 'This';
    throw new Error(`${name} is no image that the browser can read (${error.message}).`);
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new Error(`The image has ${width} × ${height} pixels; at most ${MOST_PIXELS / 1e6} million can be used.`);
  }
  return bitmap;
}
