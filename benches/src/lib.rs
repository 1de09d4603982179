//! What our network is measured against: the same network from candle's own layers.

mod candle_baseline;

pub use candle_baseline::CandleBaseline;
