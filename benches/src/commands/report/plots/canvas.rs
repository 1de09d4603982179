//! An SVG image: text and shapes in pixels. Their colours are in its style sheet, for light and dark
//! pages.

use std::fmt::Write;

/// Size of text, in pixels.
pub(in crate::commands) const FONT: f64 = 14.0;

const STYLE: &str = "\
    text { font: 14px sans-serif; fill: #1f2328; }
    .title { font-size: 17px; }
    .soft { fill: #5b6570; }
    .middle { text-anchor: middle; }
    .end { text-anchor: end; }
    .page { fill: #fff; }
    .grid { stroke: #dde2e7; }
    .line { fill: none; stroke: #607890; stroke-width: 2; }
    .median { stroke: #1f2328; stroke-width: 1.5; }
    .ours { fill: #c44e24; }
    .others { fill: #607890; }
    .series0 { color: #c44e24; }
    .series1 { color: #2b6cb0; }
    .series2 { color: #24824e; }
    .series3 { color: #8547a0; }
    .coloured { fill: currentColor; }
    .line.coloured { fill: none; stroke: currentColor; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6e8eb; }
      .soft { fill: #9ca6b0; }
      .page { fill: #15181c; }
      .grid { stroke: #363d45; }
      .line { stroke: #8ca6c0; }
      .median { stroke: #e6e8eb; }
      .ours { fill: #e5764a; }
      .series0 { color: #f0895c; }
      .series1 { color: #74b0f0; }
      .series2 { color: #5fc48b; }
      .series3 { color: #c793e0; }
    }
";

pub(in crate::commands) type Point = (f64, f64);

pub(in crate::commands) struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    pub(in crate::commands) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut canvas = Self {
            width,
            height,
            body: String::new(),
        };
        canvas.rectangle("page", (0.0, 0.0), (width, height));
        canvas.text("title", (16.0, 26.0), title);
        canvas
    }

    /// Text whose vertical centre is at the point.
    pub(in crate::commands) fn text(&mut self, class: &str, at: Point, text: &str) {
        self.turned_text(class, at, 0.0, text);
    }

    /// Text turned clockwise around the point.
    pub(in crate::commands) fn turned_text(
        &mut self,
        class: &str,
        (x, y): Point,
        degrees: f64,
        text: &str,
    ) {
        let turn = if degrees == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({degrees:.1} {x:.1} {y:.1})\"")
        };
        // The baseline is below the centre.
        let y = y + 0.35 * FONT;
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{turn}>{text}</text>"
        );
    }

    pub(in crate::commands) fn line(&mut self, class: &str, points: &[Point]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        let _ = writeln!(
            self.body,
            "<polyline class=\"{class}\" points=\"{points}\"/>"
        );
    }

    pub(in crate::commands) fn rectangle(
        &mut self,
        class: &str,
        (left, top): Point,
        (right, bottom): Point,
    ) {
        let (width, height) = (right - left, bottom - top);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>"
        );
    }

    pub(in crate::commands) fn dot(&mut self, class: &str, (x, y): Point) {
        let _ = writeln!(
            self.body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
        );
    }

    pub(in crate::commands) fn svg(self) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>\n{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

/// About how wide text is, in pixels, in a wide font.
pub(in crate::commands) fn text_width(text: &str) -> f64 {
    0.62 * FONT * text.chars().count() as f64
}
