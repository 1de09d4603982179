//! Ranges of activations: from their values to scale and zero point.

use mobilenet_kernels::integer::{IntegerType, Quantized};

use super::options::RangeMethod;

/// Bins on each side of zero.
const HALF: usize = 2048;
/// Shrunken ranges that are tried for the least error.
const TRIALS: usize = 80;

/// How often values of each size occur. The bins have the same width, which doubles when a value
/// beyond them comes.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    /// From `-HALF * width` to `HALF * width`.
    counts: Vec<u64>,
    width: f32,
    low: f32,
    high: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; 2 * HALF],
            width: 1.0 / (1 << 20) as f32,
            low: 0.0,
            high: 0.0,
        }
    }
}

impl Histogram {
    /// Of these values.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut histogram = Self::default();
        histogram.add(values);
        histogram
    }

    /// Counts values. What is not finite is left out: no range holds it.
    fn add(&mut self, values: &[f32]) {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let low = finite().fold(self.low, f32::min);
        let high = finite().fold(self.high, f32::max);
        self.widen(low, high);
        for value in finite() {
            // Shifted above zero first, because `as` truncates towards zero.
            let bin = (value / self.width + HALF as f32) as usize;
            self.counts[bin.min(2 * HALF - 1)] += 1;
        }
    }

    /// Adds the counts of another histogram.
    pub(super) fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        self.widen(other.low, other.high);
        // Afterwards, both have the same width.
        other.widen(self.low, self.high);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    fn widen(&mut self, low: f32, high: f32) {
        self.low = self.low.min(low);
        self.high = self.high.max(high);
        let largest = self.high.max(-self.low);
        while largest > self.width * HALF as f32 {
            let mut counts = vec![0; 2 * HALF];
            for (bin, pair) in self.counts.chunks(2).enumerate() {
                counts[HALF / 2 + bin] = pair.iter().sum();
            }
            self.counts = counts;
            self.width *= 2.0;
        }
    }

    /// The range by a method. It holds 0.
    pub(super) fn range(&self, method: RangeMethod) -> (f32, f32) {
        match method {
            RangeMethod::MinMax => (self.low, self.high),
            RangeMethod::Percentile(share) => self.percentile(share),
            RangeMethod::MeanSquareError => self.least_error(),
        }
    }

    fn percentile(&self, share: f64) -> (f32, f32) {
        let all: u64 = self.counts.iter().sum();
        let outside = (all as f64 * share / 2.0) as u64;
        // Number of bins at an end that hold no more than `outside` values together.
        let beyond = |counts: &mut dyn Iterator<Item = &u64>| {
            let sums = counts.scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            });
            sums.take_while(|&sum| sum <= outside).count()
        };
        let low = self.edge(beyond(&mut self.counts.iter()));
        let high = self.edge(2 * HALF - beyond(&mut self.counts.iter().rev()));
        (low.max(self.low).min(0.0), high.min(self.high).max(0.0))
    }

    /// Lower edge of a bin.
    fn edge(&self, bin: usize) -> f32 {
        (bin as f32 - HALF as f32) * self.width
    }

    fn least_error(&self) -> (f32, f32) {
        let shrunk = (1..=TRIALS).map(|trial| {
            let factor = trial as f32 / TRIALS as f32;
            (self.low * factor, self.high * factor)
        });
        let best = shrunk.min_by(|&a, &b| self.error(a).total_cmp(&self.error(b)));
        best.unwrap_or((self.low, self.high))
    }

    /// Sum of squares of what 8 bits of this range do to the values.
    fn error(&self, (low, high): (f32, f32)) -> f64 {
        let step = (high - low) / 255.0;
        if step <= 0.0 {
            return f64::INFINITY;
        }
        let bins = self.counts.iter().enumerate();
        let errors = bins.filter(|&(_, &count)| count > 0).map(|(bin, &count)| {
            let value = self.edge(bin) + self.width / 2.0;
            let outside = (value - value.clamp(low, high)).abs();
            // Within the range, a value lies anywhere between two integers.
            let square = f64::from(outside).powi(2) + f64::from(step).powi(2) / 12.0;
            square * count as f64
        });
        errors.sum()
    }
}

/// Scale and zero point of integers that cover a range. 0 is one of the numbers.
pub(super) fn covering((low, high): (f32, f32), integer: IntegerType) -> Quantized {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = (high - low) / 255.0;
    if !(scale.is_normal() && scale > 0.0) {
        // The activation is always 0.
        return Quantized {
            integer,
            scale: 1.0,
            zero_point: integer.min(),
        };
    }
    let zero_point = integer.min() - (low / scale).round() as i32;
    Quantized {
        integer,
        scale,
        zero_point: zero_point.clamp(integer.min(), integer.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_differ_by_what_they_leave_out() {
        // 10,000 values from -1 to 1, and one far away.
        let mut values: Vec<f32> = (0..10_000).map(|i| i as f32 / 5000.0 - 1.0).collect();
        values.push(50.0);
        let histogram = Histogram::of(&values);
        assert_eq!(histogram.range(RangeMethod::MinMax), (-1.0, 50.0));
        let (low, high) = histogram.range(RangeMethod::Percentile(0.01));
        assert!(
            (low + 0.995).abs() < 0.05 && (high - 0.995).abs() < 0.05,
            "{low} {high}"
        );
        let (_, high) = histogram.range(RangeMethod::MeanSquareError);
        assert!((10.0..50.0).contains(&high), "{high}");
        // Without the outlier there is nothing to leave out.
        assert_eq!(
            Histogram::of(&values[..10_000])
                .range(RangeMethod::MeanSquareError)
                .0,
            -1.0
        );
    }

    #[test]
    fn parts_give_the_histogram_of_the_whole() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32).sin() * i as f32).collect();
        let whole = Histogram::of(&values);
        let mut parts = Histogram::of(&values[..10]);
        parts.merge(&Histogram::of(&values[10..990]));
        parts.merge(&Histogram::of(&values[990..]));
        assert_eq!(parts.counts, whole.counts);
        assert_eq!(
            parts.range(RangeMethod::MinMax),
            whole.range(RangeMethod::MinMax)
        );
        assert_eq!(whole.counts.iter().sum::<u64>(), 1000);
        let strange = Histogram::of(&[f32::NAN, f32::INFINITY, 2.0]);
        assert_eq!(strange.range(RangeMethod::MinMax), (0.0, 2.0));
    }

    #[test]
    fn zero_is_an_integer() {
        let signed = covering((0.0, 6.0), IntegerType::I8);
        assert_eq!((signed.scale, signed.zero_point), (6.0 / 255.0, -128));
        let unsigned = covering((-1.0, 3.0), IntegerType::U8);
        assert_eq!((unsigned.scale, unsigned.zero_point), (4.0 / 255.0, 64));
        assert_eq!(covering((2.0, 3.0), IntegerType::U8).zero_point, 0);
        assert_eq!(covering((0.0, 0.0), IntegerType::U8).scale, 1.0);
    }
}
