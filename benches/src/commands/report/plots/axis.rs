//! Axes from values to pixels, with ticks at round numbers, and the frame of a plot.

use super::canvas::{Canvas, text_width};

pub(in crate::commands) struct Axis {
    title: String,
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where the lowest and the highest value are, in pixels.
    pixels: (f64, f64),
    ticks: Vec<f64>,
}

impl Axis {
    /// A logarithmic axis. Its ends and its ticks are 1, 2 or 5 times a power of ten.
    pub(in crate::commands) fn logarithmic(
        title: &str,
        low: f64,
        high: f64,
        pixels: (f64, f64),
    ) -> Self {
        let rounds = round_numbers(low, high);
        let first = rounds.iter().rposition(|&tick| tick <= low).unwrap_or(0);
        let last = rounds.iter().position(|&tick| tick >= high);
        let ticks: Vec<f64> = match last {
            Some(last) if first < last => rounds[first..=last].to_vec(),
            // A single value.
            _ => vec![low / 2.0, low * 2.0],
        };
        Self {
            title: title.to_string(),
            low: ticks[0],
            high: ticks[ticks.len() - 1],
            logarithmic: true,
            pixels,
            ticks,
        }
    }

    /// A linear axis with a tick at each multiple of the step.
    pub(in crate::commands) fn linear(
        title: &str,
        low: f64,
        high: f64,
        step: f64,
        pixels: (f64, f64),
    ) -> Self {
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        Self {
            title: title.to_string(),
            low: first as f64 * step,
            high: last as f64 * step,
            logarithmic: false,
            pixels,
            ticks: (first..=last).map(|index| index as f64 * step).collect(),
        }
    }

    /// The pixel of a value. Values beyond the ends are at the ends.
    pub(in crate::commands) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    pub(in crate::commands) fn low(&self) -> f64 {
        self.low
    }

    pub(in crate::commands) fn high(&self) -> f64 {
        self.high
    }
}

/// 1, 2 and 5 times powers of ten, from the power below `low` to that above `high`.
fn round_numbers(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let numbers = powers.flat_map(|power| {
        // Negative powers by division, which rounds 0.1 as the literal does.
        let scale = 10f64.powi(power.abs());
        [1.0, 2.0, 5.0].map(|factor| {
            if power < 0 {
                factor / scale
            } else {
                factor * scale
            }
        })
    });
    numbers.collect()
}

/// Grid, ticks and title of the horizontal axis, from `top` to `bottom`.
pub(in crate::commands) fn draw_horizontal(
    canvas: &mut Canvas,
    axis: &Axis,
    top: f64,
    bottom: f64,
) {
    for &tick in &axis.ticks {
        let x = axis.at(tick);
        canvas.line("grid", &[(x, top), (x, bottom)]);
        canvas.text("soft middle", (x, bottom + 14.0), &tick.to_string());
    }
    let middle = (axis.pixels.0 + axis.pixels.1) / 2.0;
    canvas.text("soft middle", (middle, bottom + 36.0), &axis.title);
}

/// Grid, ticks and title of the vertical axis, from `left` to `right`.
pub(in crate::commands) fn draw_vertical(canvas: &mut Canvas, axis: &Axis, left: f64, right: f64) {
    let mut widest: f64 = 0.0;
    for &tick in &axis.ticks {
        let (y, label) = (axis.at(tick), tick.to_string());
        canvas.line("grid", &[(left, y), (right, y)]);
        canvas.text("soft end", (left - 8.0, y), &label);
        widest = widest.max(text_width(&label));
    }
    let middle = (axis.pixels.0 + axis.pixels.1) / 2.0;
    let x = left - widest - 20.0;
    canvas.turned_text("soft middle", (x, middle), -90.0, &axis.title);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_ends_at_round_numbers() {
        for (low, high, ticks) in [
            (4.6, 60.6, "2 5 10 20 50 100"),
            (0.072, 0.5, "0.05 0.1 0.2 0.5"),
            (1.0, 2.0, "1 2"),
            (3.0, 3.0, "2 5"),
            (2.0, 2.0, "1 4"),
        ] {
            let axis = Axis::logarithmic("", low, high, (0.0, 100.0));
            let found: Vec<String> = axis.ticks.iter().map(f64::to_string).collect();
            assert_eq!(found.join(" "), ticks);
            assert_eq!((axis.at(axis.low()), axis.at(axis.high())), (0.0, 100.0));
            assert_eq!(axis.at(1e9), 100.0);
        }
        let axis = Axis::logarithmic("", 1.0, 100.0, (0.0, 100.0));
        assert!((axis.at(10.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_linear_axis_ends_at_its_step() {
        let axis = Axis::linear("", 41.5, 70.9, 5.0, (100.0, 0.0));
        assert_eq!(axis.ticks, [40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0]);
        assert_eq!((axis.at(40.0), axis.at(75.0)), (100.0, 0.0));
    }
}
