//! A made data set: coloured squares, circles and triangles on noise, with COCO's annotations.

use std::path::Path;

use mobilenet_train::data::Photo;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Names of the classes.
pub const CLASSES: [&str; 3] = ["square", "circle", "triangle"];

/// Whether a point, from -1 to 1 of the box, belongs to a shape.
fn contains(class: usize, y: f32, x: f32) -> bool {
    match class {
        0 => true,
        1 => y * y + x * x <= 1.0,
        _ => x.abs() <= (y + 1.0) / 2.0,
    }
}

/// One photo of `side` pixels with one to three shapes, and their classes and boxes, `[x, y, w, h]`.
fn photo(side: u32, rng: &mut ChaCha8Rng) -> (Photo, Vec<(usize, [u32; 4])>) {
    let mut photo = Photo::from_fn(side, side, |_, _| {
        std::array::from_fn(|_| rng.random_range(60..196u8)).into()
    });
    let mut objects: Vec<(usize, [u32; 4])> = Vec::new();
    for _ in 0..rng.random_range(1..=3) {
        let class = rng.random_range(0..CLASSES.len());
        let size = rng.random_range(side / 5..side / 2);
        let (left, top) = (
            rng.random_range(0..side - size),
            rng.random_range(0..side - size),
        );
        let apart = |&(_, [x, y, w, h]): &(usize, [u32; 4])| {
            left + size <= x || x + w <= left || top + size <= y || y + h <= top
        };
        if !objects.iter().all(apart) {
            continue;
        }
        let mut colour: [u8; 3] = std::array::from_fn(|_| rng.random_range(0..60u8));
        colour[rng.random_range(0..3)] = rng.random_range(200..=255u8);
        let place = |pixel: u32| 2.0 * (pixel as f32 + 0.5) / size as f32 - 1.0;
        for y in 0..size {
            for x in 0..size {
                if contains(class, place(y), place(x)) {
                    photo.put_pixel(left + x, top + y, colour.into());
                }
            }
        }
        objects.push((class, [left, top, size, size]));
    }
    (photo, objects)
}

/// Writes the parts `train` and `test` with so many photos of `side` pixels.
pub fn write(dir: &Path, parts: [usize; 2], side: u32) {
    for (seed, (part, count)) in ["train", "test"].into_iter().zip(parts).enumerate() {
        let folder = dir.join(part);
        std::fs::create_dir_all(&folder).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
        let (mut images, mut annotations) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (photo, objects) = photo(side, &mut rng);
            let name = format!("{number:05}.png");
            photo.save(folder.join(&name)).unwrap();
            images.push(json!({"id": number, "file_name": name, "height": side, "width": side}));
            annotations.extend(objects.into_iter().map(|(class, bounds)| {
                json!({"image_id": number, "category_id": class + 1, "bbox": bounds, "iscrowd": 0})
            }));
        }
        let category = |(index, name): (usize, &&str)| json!({"id": index + 1, "name": name});
        let categories: Vec<Value> = CLASSES.iter().enumerate().map(category).collect();
        let all = json!({"images": images, "annotations": annotations, "categories": categories});
        std::fs::write(folder.join("_annotations.coco.json"), all.to_string()).unwrap();
    }
}
