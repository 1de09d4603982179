//! Places labels beside their points so that they cover neither each other nor what is drawn.

use super::canvas::{FONT, Point, text_width};

/// Half the side of the space around a point or a piece of a line.
const SPACE: f64 = 5.0;

#[derive(Debug, Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn around((x, y): Point, half_width: f64, half_height: f64) -> Self {
        Self {
            left: x - half_width,
            top: y - half_height,
            right: x + half_width,
            bottom: y + half_height,
        }
    }

    /// Area that both have, in square pixels.
    fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }
}

pub(in crate::commands) struct Labels {
    plot: Area,
    taken: Vec<Area>,
}

impl Labels {
    /// For a plot between two corners.
    pub(in crate::commands) fn new((left, top): Point, (right, bottom): Point) -> Self {
        Self {
            plot: Area {
                left,
                top,
                right,
                bottom,
            },
            taken: Vec::new(),
        }
    }

    /// Keeps labels away from a line, and from a point, which is a line of one.
    pub(in crate::commands) fn avoid(&mut self, line: &[Point]) {
        let around = |point| Area::around(point, SPACE, SPACE);
        for pair in line.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let pieces = (length / SPACE).ceil().max(1.0);
            let at = |piece: f64| {
                let share = piece / pieces;
                (
                    from.0 + share * (to.0 - from.0),
                    from.1 + share * (to.1 - from.1),
                )
            };
            let points = (0..=pieces as usize).map(|piece| at(piece as f64));
            self.taken.extend(points.map(around));
        }
        self.taken.extend(line.first().map(|&point| around(point)));
    }

    /// The centre of the text that is nearest to the point and free, or else covers least.
    pub(in crate::commands) fn place(&mut self, (x, y): Point, text: &str) -> Point {
        // Some space on both sides, so that neighbours do not read as one.
        let (half_width, half_height) = (text_width(text) / 2.0 + 3.0, 0.6 * FONT);
        let mut best: Option<(f64, Point, Area)> = None;
        for distance in [4.0, 8.0, 14.0, 22.0, 30.0] {
            let (wide, high) = (half_width + distance, half_height + distance);
            for centre in [
                (x, y - high),
                (x + wide, y),
                (x, y + high),
                (x - wide, y),
                (x + wide * 0.8, y - high * 0.8),
                (x + wide * 0.8, y + high * 0.8),
                (x - wide * 0.8, y - high * 0.8),
                (x - wide * 0.8, y + high * 0.8),
            ] {
                let area = Area::around(centre, half_width, half_height);
                let whole = 4.0 * half_width * half_height;
                let outside = whole - area.overlap(&self.plot);
                let covered: f64 = self.taken.iter().map(|taken| area.overlap(taken)).sum();
                let cost = covered + outside;
                if best.is_none_or(|(least, ..)| cost < least - 1e-6) {
                    best = Some((cost, centre, area));
                }
            }
        }
        let (centre, area) = best.map_or(
            ((x, y), Area::around((x, y), half_width, half_height)),
            |(_, centre, area)| (centre, area),
        );
        self.taken.push(area);
        centre
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cover_neither_each_other_nor_lines_nor_the_edge() {
        let mut labels = Labels::new((0.0, 0.0), (300.0, 200.0));
        let line = [(0.0, 100.0), (150.0, 100.0), (220.0, 60.0)];
        labels.avoid(&line);
        let points = [
            (150.0, 100.0),
            (152.0, 100.0),
            (155.0, 98.0),
            (292.0, 150.0),
        ];
        for point in points {
            labels.place(point, "0.75");
        }
        let (lines, texts) = labels.taken.split_at(labels.taken.len() - points.len());
        for (index, text) in texts.iter().enumerate() {
            let others = lines.iter().chain(&texts[index + 1..]);
            for other in others {
                assert_eq!(text.overlap(other), 0.0, "{text:?} covers {other:?}");
            }
            let whole = (text.right - text.left) * (text.bottom - text.top);
            assert!(
                (text.overlap(&labels.plot) - whole).abs() < 1e-6,
                "{text:?}"
            );
        }
    }
}
