//! Rectangles, as TensorFlow has them.

/// `[top, left, bottom, right]`. In the network, from 0 to 1 of the image's sides.
pub type Bounds = [f32; 4];

/// The area. It is negative or 0 where a side is.
pub fn area([top, left, bottom, right]: Bounds) -> f32 {
    (bottom - top) * (right - left)
}

/// The area that two rectangles share, divided by the area that they cover together; 0 if one of
/// them has no area.
pub fn overlap(a: Bounds, b: Bounds) -> f32 {
    let areas = [area(a), area(b)];
    if areas[0] <= 0.0 || areas[1] <= 0.0 {
        return 0.0;
    }
    let shared = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    let both = shared(0, 2) * shared(1, 3);
    both / (areas[0] + areas[1] - both)
}

/// The part inside the image.
pub fn clipped(bounds: Bounds) -> Bounds {
    bounds.map(|side| side.clamp(0.0, 1.0))
}
