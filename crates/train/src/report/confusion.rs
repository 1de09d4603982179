//! The confusion matrix as SVG. Rows are labels, columns predictions. The shade is the share of the
//! row.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::contents::{MOST_CLASSES, Report};
use crate::error::TrainError;

const FONT: &str = "sans-serif";
const CAPTION: i32 = 44;
const MARGIN: i32 = 12;
const RIGHT: RGBColor = RGBColor(52, 104, 150);
const WRONG: RGBColor = RGBColor(196, 78, 36);
const GRID: RGBColor = RGBColor(220, 220, 220);

/// Longest name, in characters.
const NAME: usize = 22;

/// Sizes in pixels, for a number of classes.
struct Layout {
    classes: i32,
    cell: i32,
    font: i32,
    /// Space for names, left of the rows and above the columns.
    names: i32,
}

impl Layout {
    fn new(names: &[String]) -> Self {
        let classes = names.len() as i32;
        let (cell, font) = match classes {
            ..=12 => (46, 14),
            13..=24 => (34, 12),
            _ => (26, 10),
        };
        let longest = names.iter().map(|name| name.chars().count()).max();
        Self {
            classes,
            cell,
            font,
            // A character is about 0.6 times as wide as the font size.
            names: longest.unwrap_or(0) as i32 * font * 6 / 10 + 14,
        }
    }

    fn left(&self) -> i32 {
        // The vertical word "label" is left of the names.
        MARGIN + self.names + 20
    }

    fn top(&self) -> i32 {
        CAPTION + self.names + 20
    }

    fn side(&self) -> i32 {
        self.classes * self.cell
    }

    fn size(&self) -> (u32, u32) {
        // Wide enough for the caption.
        let width = (self.left() + self.side() + MARGIN).max(420);
        (width as u32, (self.top() + self.side() + MARGIN) as u32)
    }
}

/// The figure. `None` if nothing was evaluated.
pub(super) fn matrix(report: &Report) -> Result<Option<String>, TrainError> {
    let matrix = report.evaluation.confusion();
    let classes = matrix.most_confused(MOST_CLASSES);
    if classes.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = classes
        .iter()
        .map(|&class| shortened(&report.class_name(class)))
        .collect();
    let layout = Layout::new(&names);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, layout.size()).into_drawing_area();
    let drawn = draw(&area, report, &classes, &names, &layout).map_err(|error| TrainError::Draw {
        figure: "the confusion matrix",
        problem: error.to_string(),
    });
    drop(area);
    drawn.map(|()| Some(svg))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_string();
    }
    let start: String = name.chars().take(NAME - 1).collect();
    format!("{}\u{2026}", start.trim_end())
}

fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    report: &Report,
    classes: &[usize],
    names: &[String],
    layout: &Layout,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    area.fill(&WHITE)?;
    let text = |size: i32, h: HPos, v: VPos| {
        TextStyle::from((FONT, size).into_font())
            .color(&BLACK)
            .pos(Pos::new(h, v))
    };
    let upright = |style: TextStyle<'static>| style.transform(FontTransform::Rotate270);
    let (left, top) = (layout.left(), layout.top());
    let middle = layout.side() / 2;

    let caption = text(18, HPos::Left, VPos::Center);
    area.draw_text("Images by label and prediction", &caption, (MARGIN, 22))?;
    let axis = text(14, HPos::Center, VPos::Center);
    area.draw_text("prediction", &axis, (left + middle, CAPTION + 4))?;
    area.draw_text("label", &upright(axis), (MARGIN + 4, top + middle))?;

    let row_name = text(layout.font, HPos::Right, VPos::Center);
    let column_name = upright(text(layout.font, HPos::Left, VPos::Center));
    let count_style = text(layout.font - 1, HPos::Center, VPos::Center);
    let matrix = report.evaluation.confusion();
    let metrics = matrix.class_metrics();
    for (row, &label) in classes.iter().enumerate() {
        let y = top + row as i32 * layout.cell;
        let centre = y + layout.cell / 2;
        area.draw_text(&names[row], &row_name, (left - 6, centre))?;
        let x = left + row as i32 * layout.cell + layout.cell / 2;
        area.draw_text(&names[row], &column_name, (x, top - 6))?;

        for (column, &predicted) in classes.iter().enumerate() {
            let x = left + column as i32 * layout.cell;
            let cell = [(x, y), (x + layout.cell, y + layout.cell)];
            let count = matrix.count(label, predicted);
            let share = count as f64 / metrics[label].images.max(1) as f64;
            let colour = if label == predicted { RIGHT } else { WRONG };
            area.draw(&Rectangle::new(cell, shade(colour, share).filled()))?;
            area.draw(&Rectangle::new(cell, GRID))?;
            if count > 0 {
                let style = if share > 0.5 {
                    count_style.color(&WHITE)
                } else {
                    count_style.clone()
                };
                let at = (x + layout.cell / 2, centre);
                area.draw_text(&count.to_string(), &style, at)?;
            }
        }
    }
    area.present()
}

/// A shade between white and a colour, by the square root of the share, so that a few images are
/// still visible.
fn shade(colour: RGBColor, share: f64) -> RGBColor {
    let mix = |full: u8| {
        let strength = share.clamp(0.0, 1.0).sqrt();
        (255.0 + (f64::from(full) - 255.0) * strength).round() as u8
    };
    RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
}
