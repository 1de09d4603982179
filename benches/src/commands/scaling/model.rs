//! What a step by many machines takes.

use anyhow::Result;
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::inspect::summary;

/// So many values go on their way together (`train::parallel::Exchange`).
const BUCKET: usize = 1 << 19;

/// Share of a step that the forward pass takes.
const FORWARD: f64 = 1.0 / 3.0;

/// What of a network matters here.
pub(super) struct Network {
    /// Values of all parameters.
    pub(super) values: usize,
    /// Values that become final together, and the share of the backward pass that is done then.
    buckets: Vec<(usize, f64)>,
}

/// What lies between machines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Bits a second.
    pub(super) rate: f64,
    /// Milliseconds of a message.
    pub(super) latency: f64,
    /// Milliseconds that computing threads take for each value, where a rank exchanges one other's
    /// whole vector.
    pub(super) work: f64,
    /// Bytes of a value.
    pub(super) bytes: f64,
}

impl Network {
    /// The network of some width and side with 1001 classes.
    pub(super) fn new(width: f64, side: usize) -> Result<Self> {
        let config = MobileNetV1Config {
            num_classes: Some(1001),
            ..MobileNetV1Config::with_width(width)
        };
        let summary = summary(&config, side, side)?;
        let whole = summary.multiply_adds as f64;
        let (mut buckets, mut waiting, mut done) = (Vec::new(), 0, 0.0);
        for layer in summary.layers.iter().rev() {
            waiting += layer.parameters;
            done += layer.multiply_adds as f64 / whole;
            if waiting >= BUCKET {
                buckets.push((std::mem::take(&mut waiting), done));
            }
        }
        buckets.push((waiting, 1.0));
        Ok(Self {
            values: summary.parameters,
            buckets,
        })
    }

    /// Milliseconds of a step by some machines, each of which computes for `compute` ms. A bucket
    /// sets out when it is final and the one before has arrived.
    pub(super) fn step(&self, compute: f64, machines: usize, link: Link) -> f64 {
        let sent = 2.0 * (machines as f64 - 1.0) / machines as f64;
        let messages = 2.0 * (machines as f64).log2();
        let backward = compute * (1.0 - FORWARD);
        let mut arrived = 0.0f64;
        for (values, share) in &self.buckets {
            let bits = 8.0 * link.bytes * *values as f64 * sent;
            let way = 1e3 * bits / link.rate + messages * link.latency;
            let ready = compute - backward * (1.0 - share);
            arrived = arrived.max(ready) + way;
        }
        let work = link.work * self.values as f64 * sent;
        arrived.max(compute) + work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link {
        rate: 1e9,
        latency: 0.05,
        work: 0.0,
        bytes: 4.0,
    };

    #[test]
    fn all_parameters_are_in_buckets() {
        let network = Network::new(1.0, 224).unwrap();
        let values: usize = network.buckets.iter().map(|(values, _)| values).sum();
        assert_eq!((values, network.values), (4_254_889, 4_254_889));
        // Nearly half of them are final early.
        let (values, time) = (network.buckets[..2].iter())
            .fold((0, 0.0), |(all, _), (values, time)| (all + values, *time));
        assert!(5 * values > 2 * network.values && time < 0.15);
    }

    #[test]
    fn a_slow_link_decides_and_a_fast_one_does_not() {
        let network = Network::new(1.0, 224).unwrap();
        // 17 MB there and back take 136 ms at 1 Gbit/s.
        let slow = network.step(1.0, 2, LINK);
        assert!((136.0..139.0).contains(&slow), "{slow}");
        // Only the last bucket comes after the end.
        let hidden = network.step(10_000.0, 2, LINK);
        assert!((10_000.0..10_050.0).contains(&hidden), "{hidden}");
        let fast = Link { rate: 1e12, ..LINK };
        assert!(network.step(100.0, 1024, fast) < 105.0);
        let half = Link { bytes: 2.0, ..LINK };
        assert!(network.step(1.0, 2, half) < 0.51 * slow);
    }
}
