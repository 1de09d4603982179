//! A printed figure beside what the code computes, and whether they agree.

use anyhow::{Result, ensure};
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::architecture::{Part, parameters};
use mobilenet::model::inspect::{Summary, summary};

/// A figure as it is printed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Printed {
    /// All its digits count.
    Exact(&'static str),
    /// Its zeros at the end only say how large it is: 15300 is any number from 15250 to 15350.
    Round(&'static str),
}

impl Printed {
    pub(super) fn text(self) -> &'static str {
        let (Self::Exact(text) | Self::Round(text)) = self;
        text
    }

    /// The value of its last digit that counts.
    fn step(self) -> f64 {
        match self {
            Self::Exact(text) => {
                let decimals = text.split_once('.').map_or(0, |(_, after)| after.len());
                10f64.powi(-(decimals as i32))
            }
            Self::Round(text) => {
                let zeros = text.len() - text.trim_end_matches('0').len();
                10f64.powi(zeros as i32)
            }
        }
    }

    /// How it comes from one of the counts, if it does: by rounding, or else by truncation.
    pub(super) fn agrees(self, counts: &[(&str, f64)]) -> Option<String> {
        let step = self.step();
        let printed = self.text().parse::<f64>().ok()?;
        let is = |of: fn(f64) -> f64, count: f64| (of(count / step) - printed / step).abs() < 1e-6;
        let rounded: Vec<&str> = counts
            .iter()
            .filter(|(_, count)| is(f64::round, *count))
            .map(|(name, _)| *name)
            .collect();
        if !rounded.is_empty() {
            return Some(rounded.join(" or "));
        }
        let truncated = counts.iter().find(|(_, count)| is(f64::trunc, *count));
        truncated.map(|(name, _)| format!("{name}, truncated"))
    }

    /// A count with one digit more than the printed figure has.
    fn one_digit_more(self, count: f64) -> String {
        let decimals = self
            .text()
            .split_once('.')
            .map_or(0, |(_, after)| after.len());
        format!("{count:.*}", decimals + 1)
    }
}

/// What a network costs, in millions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Multiply-adds without the classifier.
    pub(super) body: f64,
    /// With it.
    pub(super) whole: f64,
    /// Weights, the classifier's included, without biases and batch norm.
    pub(super) weights: f64,
    /// All that training changes.
    pub(super) trainable: f64,
}

const MILLION: f64 = 1e6;

impl Cost {
    /// Of a MobileNet, for square images.
    pub(super) fn of_config(config: &MobileNetV1Config, side: usize) -> Result<Self> {
        let weights = parameters(config)?
            .iter()
            .filter(|parameter| parameter.part == Part::Weights)
            .map(|parameter| parameter.len() as f64 / MILLION)
            .sum();
        Ok(Self {
            weights,
            ..Self::of_summary(&summary(config, side, side)?)
        })
    }

    /// Of MobileNet with a width and a number of classes, for square images.
    pub(super) fn mobilenet(width: f64, side: usize, classes: usize) -> Result<Self> {
        let config = MobileNetV1Config {
            num_classes: Some(classes),
            ..MobileNetV1Config::with_width(width)
        };
        Self::of_config(&config, side)
    }

    /// Of another network. Its biases count as weights.
    pub(super) fn of_summary(summary: &Summary) -> Self {
        let trainable = summary.trainable_parameters as f64 / MILLION;
        Self {
            body: summary.body_multiply_adds as f64 / MILLION,
            whole: summary.multiply_adds as f64 / MILLION,
            weights: trainable,
            trainable,
        }
    }
}

/// A network of a table.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// What cannot be recomputed without the paper's data.
    pub(super) accuracy: &'static str,
    /// In millions.
    pub(super) multiply_adds: Printed,
    /// In millions.
    pub(super) parameters: Printed,
    /// `None` if the network is not in this project.
    pub(super) cost: Option<Cost>,
    /// Why a figure differs.
    pub(super) note: &'static str,
}

/// A table of networks in Markdown. `measure` is the name of the accuracy.
///
/// # Errors
/// If a figure differs from ours and no note says why, or a note is there for figures that agree.
pub(super) fn table(measure: &str, rows: &[Row]) -> Result<String> {
    let mut text = format!(
        "| model | {measure} | M multiply-adds | recomputed: body, whole | M parameters | recomputed: weights, trainable | finding |\n\
         |---|--:|--:|--:|--:|--:|---|\n"
    );
    for row in rows {
        let (multiply_adds, parameters) = (row.multiply_adds, row.parameters);
        let (computed, counted, finding) = match row.cost {
            None => ("-".to_string(), "-".to_string(), quoted(row)),
            Some(cost) => (
                [cost.body, cost.whole]
                    .map(|count| multiply_adds.one_digit_more(count))
                    .join(", "),
                [cost.weights, cost.trainable]
                    .map(|count| parameters.one_digit_more(count))
                    .join(", "),
                finding(row, cost)?,
            ),
        };
        text += &format!(
            "| {} | {} | {} | {computed} | {} | {counted} | {finding} |\n",
            row.name,
            row.accuracy,
            multiply_adds.text(),
            parameters.text()
        );
    }
    Ok(text)
}

fn quoted(row: &Row) -> String {
    match row.note {
        "" => "quoted".to_string(),
        note => format!("quoted; {note}"),
    }
}

fn finding(row: &Row, cost: Cost) -> Result<String> {
    let of_adds = row
        .multiply_adds
        .agrees(&[("body", cost.body), ("whole", cost.whole)]);
    let of_parameters = row
        .parameters
        .agrees(&[("weights", cost.weights), ("trainable", cost.trainable)]);
    if let (Some(adds), Some(parameters)) = (&of_adds, &of_parameters) {
        ensure!(row.note.is_empty(), "{}: a note, but all agrees", row.name);
        return Ok(format!("agrees ({adds}; {parameters})"));
    }
    ensure!(!row.note.is_empty(), "{}: differs without a note", row.name);
    let which = match (of_adds, of_parameters) {
        (None, None) => "both differ",
        (None, _) => "multiply-adds differ",
        _ => "parameters differ",
    };
    Ok(format!("**{which}**: {}", row.note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_agrees_by_rounding_or_truncation_in_its_own_digits() {
        let agrees = |printed: Printed, count| printed.agrees(&[("it", count)]);
        assert_eq!(agrees(Printed::Exact("569"), 568.7).as_deref(), Some("it"));
        let truncated = agrees(Printed::Exact("48"), 48.65);
        assert_eq!(truncated.as_deref(), Some("it, truncated"));
        assert_eq!(agrees(Printed::Exact("15300"), 15347.0), None);
        assert!(agrees(Printed::Round("15300"), 15347.0).is_some());
        assert_eq!(agrees(Printed::Round("15300"), 15470.0), None);
        assert!(agrees(Printed::Exact("4.2"), 4.209).is_some());
        assert_eq!(agrees(Printed::Exact("4.2"), 4.301), None);
        let both = Printed::Exact("325").agrees(&[("a", 324.6), ("b", 325.4), ("c", 326.0)]);
        assert_eq!(both.as_deref(), Some("a or b"));
    }

    #[test]
    fn what_differs_needs_a_note_and_what_agrees_has_none() {
        let row = |printed, note| Row {
            name: "1.0 MobileNet-224",
            accuracy: "70.6 %",
            multiply_adds: Printed::Exact(printed),
            parameters: Printed::Exact("4.2"),
            cost: Some(Cost::mobilenet(1.0, 224, 1000).unwrap()),
            note,
        };
        let text = |printed, note| table("top-1", &[row(printed, note)]);
        assert!(
            text("569", "")
                .unwrap()
                .contains("agrees (whole; weights or trainable)")
        );
        assert!(
            text("596", "digits swapped")
                .unwrap()
                .contains("**multiply-adds differ**")
        );
        assert!(text("596", "").is_err() && text("569", "wrong").is_err());
    }
}
