//! Draws boxes and labels on a photo.

use mobilenet_model::preprocess::Photo;

use crate::font::{self, GLYPH};

/// A box to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Top, left, bottom and right, in pixels.
    pub bounds: [f32; 4],
    /// What is written beside it.
    pub text: String,
    /// Boxes of the same number have the same colour.
    pub class: usize,
}

/// Part of the photo's shorter side that a letter is high.
const LETTER: u32 = 25;
/// Part of it that a line is wide.
const LINE: u32 = 200;

/// Draws the boxes, the first ones on top.
pub fn draw(photo: &mut Photo, labels: &[Label]) {
    let side = photo.width().min(photo.height());
    let scale = (side / LETTER / GLYPH[1]).max(1);
    let line = (side / LINE).max(2);
    let corners: Vec<[u32; 4]> = labels.iter().map(|label| corners(photo, label)).collect();
    for (label, &[top, left, bottom, right]) in labels.iter().zip(&corners).rev() {
        let colour = colour(label.class);
        fill(photo, [top, left, top + line, right], colour);
        fill(
            photo,
            [bottom.saturating_sub(line), left, bottom, right],
            colour,
        );
        fill(photo, [top, left, bottom, left + line], colour);
        fill(
            photo,
            [top, right.saturating_sub(line), bottom, right],
            colour,
        );
    }
    // Labels after all lines, and none on another.
    let mut taken: Vec<[u32; 4]> = Vec::new();
    for (label, corners) in labels.iter().zip(&corners) {
        let size = [
            (GLYPH[1] + 3) * scale,
            width(&label.text, scale) + 2 * scale,
        ];
        let place = place(photo, *corners, size, &taken);
        taken.push(place);
        let colour = colour(label.class);
        fill(photo, place, colour);
        let ink = ink(colour);
        write(
            photo,
            [place[0] + 2 * scale, place[1] + scale],
            scale,
            &label.text,
            ink,
        );
    }
}

/// The box inside the photo.
fn corners(photo: &Photo, label: &Label) -> [u32; 4] {
    let sides = [photo.height(), photo.width()];
    std::array::from_fn(|index| {
        // The conversion saturates, also where the number is none.
        (label.bounds[index].round() as u32).min(sides[index % 2])
    })
}

/// Where a label goes: above its box, or else inside it at the top; further down if there is another
/// one.
fn place(photo: &Photo, corners: [u32; 4], size: [u32; 2], taken: &[[u32; 4]]) -> [u32; 4] {
    let [top, left, ..] = corners;
    let [height, width] = size;
    let left = left.min(photo.width().saturating_sub(width));
    let mut top = top.checked_sub(height).unwrap_or(top);
    let at = |top: u32| [top, left, top + height, left + width];
    let meets =
        |a: [u32; 4], b: &[u32; 4]| a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    // Each step passes one label, so it ends.
    while let Some(other) = taken.iter().find(|other| meets(at(top), other)) {
        if other[2] + height > photo.height() {
            break;
        }
        top = other[2];
    }
    at(top)
}

fn width(text: &str, scale: u32) -> u32 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    letters.saturating_mul((GLYPH[0] + 1) * scale).min(1 << 20)
}

fn write(photo: &mut Photo, [top, left]: [u32; 2], scale: u32, text: &str, ink: [u8; 3]) {
    for (index, letter) in text.chars().enumerate() {
        let left = left + index as u32 * (GLYPH[0] + 1) * scale;
        if left >= photo.width() {
            return;
        }
        for (column, bits) in font::columns(letter).into_iter().enumerate() {
            for row in (0..8).filter(|row| bits & (1 << row) != 0) {
                let (y, x) = (top + row * scale, left + column as u32 * scale);
                fill(photo, [y, x, y + scale, x + scale], ink);
            }
        }
    }
}

/// Fills a rectangle as far as it is in the photo.
fn fill(photo: &mut Photo, [top, left, bottom, right]: [u32; 4], colour: [u8; 3]) {
    for y in top..bottom.min(photo.height()) {
        for x in left..right.min(photo.width()) {
            photo.put_pixel(x, y, colour.into());
        }
    }
}

/// A bright colour; those of neighbouring classes are far apart.
fn colour(class: usize) -> [u8; 3] {
    // A turn by the golden ratio never comes back to a colour.
    let hue = (class as f32 * 0.618_034).fract() * 6.0;
    let channel = |shift: f32| {
        let distance = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
        (60.0 + 195.0 * distance.clamp(0.0, 1.0)) as u8
    };
    [channel(0.0), channel(4.0), channel(2.0)]
}

/// Black or white, whichever is easier to read on a colour.
fn ink([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let light = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    if light > 128.0 { [0; 3] } else { [255; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(bounds: [f32; 4], class: usize) -> Label {
        let text = "cat 72 %".to_string();
        Label {
            bounds,
            text,
            class,
        }
    }

    #[test]
    fn lines_and_letters_are_where_they_belong() {
        let mut photo = Photo::from_pixel(300, 200, [7, 7, 7].into());
        draw(&mut photo, &[label([50.0, 60.0, 150.0, 200.0], 3)]);
        let colour = colour(3);
        let count = |pixel: [u8; 3]| photo.pixels().filter(|p| p.0 == pixel).count();
        for (x, y) in [
            (60, 50),
            (199, 50),
            (60, 149),
            (199, 149),
            (130, 149),
            (61, 100),
        ] {
            assert_eq!(photo.get_pixel(x, y).0, colour, "{x}, {y}");
        }
        assert_eq!(photo.get_pixel(130, 100).0, [7; 3]);
        assert_eq!(photo.get_pixel(200, 151).0, [7; 3]);
        assert!(count(ink(colour)) > 50);
    }

    #[test]
    fn boxes_outside_the_photo_are_cut_off() {
        let odd = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 1e30];
        let boxes = [
            label(odd, 0),
            label([-50.0, 190.0, 90.0, 900.0], 1),
            label([5.0; 4], 2),
        ];
        for (width, height) in [(200, 80), (1, 1), (3, 500)] {
            draw(&mut Photo::new(width, height), &boxes);
        }
    }

    #[test]
    fn labels_do_not_hide_each_other() {
        let photo = Photo::new(400, 300);
        let mut taken = Vec::new();
        for _ in 0..5 {
            let place = place(&photo, [100, 390, 200, 400], [12, 60], &taken);
            assert!(place[3] <= 400);
            assert!(taken.iter().all(|other: &[u32; 4]| other[0] != place[0]));
            taken.push(place);
        }
    }

    #[test]
    fn neighbouring_classes_look_different() {
        for class in 0..90 {
            let (a, b) = (colour(class), colour(class + 1));
            let apart: u32 = (0..3).map(|i| u32::from(a[i].abs_diff(b[i]))).sum();
            assert!(apart > 150, "{class}: {a:?}, {b:?}");
        }
    }
}
