//! Speed of the plan's steps below the roofs that the machine sets.

use super::super::results::{LayerSpeed, Results};
use super::axis::{Axis, draw_horizontal, draw_vertical};
use super::canvas::{Canvas, Point, text_width};
use super::labels::Labels;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 470.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = HEIGHT - 54.0;

/// Steps of one shape, which nearly coincide and have one label.
struct Shape<'a> {
    multiply_adds: u64,
    bytes: u64,
    steps: Vec<&'a LayerSpeed>,
}

/// GFLOP/s over operations per byte.
pub(super) fn plot(results: &Results, network: (f64, usize)) -> String {
    let shapes = shapes(results.steps(network));
    let all = || shapes.iter().flat_map(|shape| &shape.steps);
    let peak = results.machine.peak_gflops;
    let roofs = results.machine.bandwidths();
    // Where a bandwidth's roof meets the peak.
    let ridges = roofs.iter().map(|(_, bandwidth)| peak / bandwidth);
    let intensities = || all().map(|step| step.intensity()).chain(ridges.clone());
    let speeds = || all().map(|step| step.gflops());
    let lowest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let x_axis = Axis::logarithmic(
        "floating-point operations per byte of input, output and weights",
        lowest(&mut intensities()) / 1.4,
        intensities().fold(1.0, f64::max) * 1.1,
        (LEFT, RIGHT),
    );
    let y_axis = Axis::logarithmic(
        "GFLOP/s",
        lowest(&mut speeds()) / 1.4,
        speeds().fold(peak, f64::max) * 1.1,
        (BOTTOM, TOP),
    );
    let at = |x: f64, y: f64| (x_axis.at(x), y_axis.at(y));

    let title = format!(
        "Steps of the plan at {}/{}, one thread",
        network.0, network.1
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT, &title);
    let note = "numbers: N of Conv2d_N, a step is the stem or a separable block";
    canvas.text("soft", (16.0, 50.0), note);
    draw_horizontal(&mut canvas, &x_axis, TOP, BOTTOM);
    draw_vertical(&mut canvas, &y_axis, LEFT, RIGHT);
    let mut labels = Labels::new((LEFT, TOP), (RIGHT, BOTTOM));

    // The compute roof begins where the steepest bandwidth reaches it.
    let first_ridge = ridges.clone().reduce(f64::min);
    let compute = [first_ridge.unwrap_or(x_axis.low()), x_axis.high()].map(|x| at(x, peak));
    canvas.line("line", &compute);
    labels.avoid(&compute);
    let name = format!("multiply-adds: {peak:.0} GFLOP/s");
    // At its left end: fast steps are at its right end.
    let (left, y) = (compute[0].0 + 12.0, compute[0].1 - 14.0);
    canvas.text("soft", (left, y), &name);
    labels.avoid(&[(left, y), (left + text_width(&name), y)]);
    for (source, bandwidth) in &roofs {
        let begin = x_axis.low().max(y_axis.low() / bandwidth);
        let line = [begin, peak / bandwidth].map(|x| at(x, bandwidth * x));
        canvas.line("line", &line);
        labels.avoid(&line);
        let name = format!("{source}: {bandwidth:.0} GB/s");
        label_along(&mut canvas, &mut labels, line, &name);
    }
    for step in all() {
        let point = at(step.intensity(), step.gflops());
        canvas.dot("ours", point);
        labels.avoid(&[point]);
    }
    for shape in &shapes {
        // Beside the fastest.
        let speed = shape.steps.iter().map(|step| step.gflops());
        let Some((first, speed)) = shape.steps.first().zip(speed.reduce(f64::max)) else {
            continue;
        };
        let name = shape.name();
        let centre = labels.place(at(first.intensity(), speed), &name);
        canvas.text("middle", centre, &name);
    }
    canvas.svg()
}

/// Writes a name along a rising line, above its middle.
fn label_along(canvas: &mut Canvas, labels: &mut Labels, [from, to]: [Point; 2], name: &str) {
    let length = (to.0 - from.0).hypot(to.1 - from.1).max(1.0);
    let along = ((to.0 - from.0) / length, (to.1 - from.1) / length);
    // At right angles to the line, to the left of its direction.
    let centre = (
        (from.0 + to.0) / 2.0 + 12.0 * along.1,
        (from.1 + to.1) / 2.0 - 12.0 * along.0,
    );
    let degrees = along.1.atan2(along.0).to_degrees();
    canvas.turned_text("soft middle", centre, degrees, name);
    let half = text_width(name) / 2.0;
    let end = |sign: f64| {
        (
            centre.0 + sign * half * along.0,
            centre.1 + sign * half * along.1,
        )
    };
    labels.avoid(&[end(-1.0), end(1.0)]);
}

fn shapes<'a>(steps: impl Iterator<Item = &'a LayerSpeed>) -> Vec<Shape<'a>> {
    let mut shapes: Vec<Shape> = Vec::new();
    for step in steps {
        let (multiply_adds, bytes) = (step.multiply_adds, step.bytes);
        match shapes.last_mut() {
            Some(last) if (last.multiply_adds, last.bytes) == (multiply_adds, bytes) => {
                last.steps.push(step);
            }
            _ => shapes.push(Shape {
                multiply_adds,
                bytes,
                steps: vec![step],
            }),
        }
    }
    shapes
}

impl Shape<'_> {
    /// The number of its layer, or the first and the last.
    fn name(&self) -> String {
        let number = |step: &&LayerSpeed| step.name.replace("Conv2d_", "");
        match (self.steps.first(), self.steps.last()) {
            (Some(first), Some(last)) if first.name != last.name => {
                format!("{}\u{2013}{}", number(first), number(last))
            }
            (Some(first), _) => number(first),
            _ => String::new(),
        }
    }
}
