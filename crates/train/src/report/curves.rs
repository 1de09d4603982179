//! Loss over steps and accuracy over epochs.

use super::chart::{Chart, Curve, Point};
use crate::log::{DetectionRecord, EpochRecord, History};
use crate::metrics::Verification;

/// Most points of a curve. If there are more, neighbours are averaged.
const POINTS: usize = 500;

/// A curve is this many times as long as the window of its smoothing.
const WINDOW: usize = 20;

/// The curve of the loss. `None` if no step has a finite loss.
pub(super) fn loss(history: &History) -> Option<String> {
    let steps = history.steps().map(|step| (step.step as f64, step.loss));
    let recorded: Vec<Point> = steps.filter(|(_, loss)| loss.is_finite()).collect();
    let losses = recorded.iter().map(|point| point.1);
    let highest = losses.clone().reduce(f64::max)?;
    let lowest = losses.fold(0.0, f64::min);
    let last = recorded.last()?.0;
    let recorded = thinned(&recorded);
    let curves = [
        Curve {
            name: "smoothed",
            style: "strong",
            points: smoothed(&recorded),
        },
        Curve {
            name: "recorded",
            style: "pale",
            points: recorded,
        },
    ];
    let chart = Chart {
        title: "Loss in training",
        x_axis: "step",
        y_axis: "loss",
        x: last,
        y: lowest..highest,
        curves: &curves,
    };
    Some(chart.figure())
}

/// The curves of accuracy. `None` if nothing was evaluated.
pub(super) fn accuracy(history: &History) -> Option<String> {
    let points = |share: fn(&EpochRecord) -> f64| -> Vec<Point> {
        let epochs = history.epochs();
        epochs
            .map(|record| (record.epoch as f64, 100.0 * share(record)))
            .collect()
    };
    let curves = [
        Curve {
            name: "Accuracy",
            style: "strong",
            points: points(|record| record.accuracy),
        },
        Curve {
            name: "Recall_5",
            style: "other",
            points: points(|record| record.recall_5),
        },
    ];
    let all = curves.iter().flat_map(|curve| &curve.points);
    let lowest = all.map(|point| point.1).reduce(f64::min)?;
    let last = history.epochs().map(|record| record.epoch).max()?;
    let chart = Chart {
        title: "Accuracy in evaluation",
        x_axis: "epoch",
        y_axis: "% of the evaluated images",
        x: last as f64,
        y: lowest..100.0,
        curves: &curves,
    };
    Some(chart.figure())
}

/// The curves of a detector's average precision. `None` if nothing was evaluated.
pub(super) fn average_precision(history: &History) -> Option<String> {
    let points = |share: fn(&DetectionRecord) -> Option<f64>| -> Vec<Point> {
        let epochs = history.detections();
        let known = epochs.filter_map(|record| Some((record.epoch as f64, 100.0 * share(record)?)));
        known.collect()
    };
    let curves = [
        Curve {
            name: "AP at 0.50",
            style: "strong",
            points: points(|record| record.ap_50),
        },
        Curve {
            name: "AP 0.50 to 0.95",
            style: "other",
            points: points(|record| record.ap),
        },
    ];
    let last = history.evaluated()?;
    curves.iter().flat_map(|curve| &curve.points).next()?;
    let chart = Chart {
        title: "Average precision in evaluation",
        x_axis: "epoch",
        y_axis: "%",
        x: last as f64,
        y: 0.0..100.0,
        curves: &curves,
    };
    Some(chart.figure())
}

/// The curve of the measure of attributes or an embedding. `None` if nothing was evaluated.
pub(super) fn measure(history: &History) -> Option<String> {
    let measure = history.measures().next()?.measure;
    let known = history
        .measures()
        .filter_map(|record| Some((record.epoch as f64, record.value?)));
    let curves = [Curve {
        name: measure.name(),
        style: "strong",
        points: known.collect(),
    }];
    let values = curves.iter().flat_map(|curve| &curve.points);
    let lowest = values.map(|point| point.1).reduce(f64::min)?;
    let chart = Chart {
        title: "Evaluation",
        x_axis: "epoch",
        y_axis: measure.name(),
        x: history.evaluated()? as f64,
        y: lowest.min(0.9)..1.0,
        curves: &curves,
    };
    Some(chart.figure())
}

/// True against false accepts.
pub(super) fn operating_characteristic(pairs: &Verification) -> String {
    let points = pairs.points(POINTS).into_iter();
    let curves = [Curve {
        name: "pairs that show the same",
        style: "strong",
        points: points.map(|[x, y]| (100.0 * x, 100.0 * y)).collect(),
    }];
    let chart = Chart {
        title: "Receiver operating characteristic",
        x_axis: "% of the other pairs that are accepted",
        y_axis: "% accepted",
        x: 100.0,
        y: 0.0..100.0,
        curves: &curves,
    };
    chart.figure()
}

/// Each value on a line through the values around it, twice. Unlike a running mean, that neither
/// lags behind a falling loss nor begins below it.
fn smoothed(points: &[Point]) -> Vec<Point> {
    let half = (points.len() / WINDOW / 2).max(1);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    for _ in 0..2 {
        values = (0..values.len())
            .map(|at| {
                let first = at.saturating_sub(half);
                let window = &values[first..values.len().min(at + half + 1)];
                on_line(window, (at - first) as f64)
            })
            .collect();
    }
    let steps = points.iter().map(|point| point.0);
    steps.zip(values).collect()
}

/// The least-squares line through values at 0, 1, 2 and so on.
fn on_line(values: &[f64], at: f64) -> f64 {
    let count = values.len() as f64;
    let centre = (count - 1.0) / 2.0;
    let (mut mean, mut slope, mut spread) = (0.0, 0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let x = index as f64 - centre;
        mean += value / count;
        slope += x * value;
        spread += x * x;
    }
    if spread > 0.0 {
        mean += slope / spread * (at - centre);
    }
    mean
}

/// Averages neighbours if there are more points than a plot can show.
fn thinned(points: &[Point]) -> Vec<Point> {
    let chunks = points.chunks(points.len().div_ceil(POINTS).max(1));
    let means = chunks.map(|chunk| {
        let (x, y) = chunk
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / chunk.len() as f64, y / chunk.len() as f64)
    });
    means.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_points_become_few_and_keep_their_mean() {
        let points: Vec<Point> = (0..12_345).map(|i| (f64::from(i), 2.0)).collect();
        let few = thinned(&points);
        assert!(few.len() <= POINTS && few.len() > POINTS / 2);
        assert!(few.iter().all(|point| point.1 == 2.0));
        assert!(few.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_smoothed_loss_lies_on_a_falling_line_and_halves_noise() {
        let line = |x: u32| 100.0 - f64::from(x);
        let falling: Vec<Point> = (0..100).map(|x| (f64::from(x), line(x))).collect();
        for (&(x, y), (smooth_x, smooth_y)) in falling.iter().zip(smoothed(&falling)) {
            assert_eq!(x, smooth_x);
            assert!((y - smooth_y).abs() < 1e-9, "{y} became {smooth_y}");
        }
        let noise = |x: u32| if x.is_multiple_of(2) { 1.0 } else { -1.0 };
        let noisy: Vec<Point> = (0..100)
            .map(|x| (f64::from(x), line(x) + noise(x)))
            .collect();
        let smooth = smoothed(&noisy);
        assert!((0..100).all(|x| (smooth[x as usize].1 - line(x)).abs() < 0.5));
        assert!((5..95).all(|x| (smooth[x as usize].1 - line(x)).abs() < 0.1));
    }

    #[test]
    fn the_smoothed_loss_has_both_ends() {
        let points: Vec<Point> = (0..200)
            .map(|x| (f64::from(x), f64::from(200 - x)))
            .collect();
        let smooth = smoothed(&points);
        assert!((smooth[0].1 - 200.0).abs() < 1e-9 && (smooth[199].1 - 1.0).abs() < 1e-9);
        assert!(smoothed(&[]).is_empty());
        assert_eq!(smoothed(&[(1.0, 4.0)]), [(1.0, 4.0)]);
    }
}
