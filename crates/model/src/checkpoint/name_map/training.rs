//! Tensors that training leaves in a checkpoint: averages, the optimiser's slots, counters. The
//! network does not use them, but they are not reported as unknown.

/// Heading of moving averages in the report.
pub(in crate::checkpoint) const AVERAGES: &str = "moving averages";

/// TensorFlow's suffix of a variable's average.
pub(in crate::checkpoint) const SHADOW: &str = "/ExponentialMovingAverage";

/// Suffixes of TensorFlow's names, with headings.
const ENDINGS: [(&str, &str); 16] = [
    (SHADOW, AVERAGES),
    ("/RMSProp", "RMSProp's slots"),
    ("/RMSProp_1", "RMSProp's slots"),
    ("/Momentum", "Momentum's slots"),
    ("/Adam", "Adam's slots"),
    ("/Adam_1", "Adam's slots"),
    ("/biased", "zero-debiased averages"),
    ("/local_step", "zero-debiased averages"),
    ("/act_quant/min", "ranges of fake quantisation"),
    ("/act_quant/max", "ranges of fake quantisation"),
    ("/weights_quant/min", "ranges of fake quantisation"),
    ("/weights_quant/max", "ranges of fake quantisation"),
    ("global_step", "counters"),
    ("save_counter", "counters"),
    ("beta1_power", "Adam's slots"),
    ("beta2_power", "Adam's slots"),
];

/// First parts of PyTorch's and Keras' names that hold no parameters, with headings.
const KEYS: [(&str, &str); 14] = [
    ("activation_ranges", "ranges of activations"),
    ("ema", AVERAGES),
    ("state_dict_ema", AVERAGES),
    ("model_ema", AVERAGES),
    ("ema_state_dict", AVERAGES),
    ("optimizer", "the optimiser's state"),
    ("optimizer_state_dict", "the optimiser's state"),
    ("optimizer_states", "the optimiser's state"),
    ("rmsprop", "the optimiser's state"),
    ("adam", "the optimiser's state"),
    ("adamw", "the optimiser's state"),
    ("sgd", "the optimiser's state"),
    ("lr_scheduler", "the schedule's state"),
    ("scheduler", "the schedule's state"),
];

/// The heading for a tensor name or prefix. `None`: it has nothing to do with training.
pub(in crate::checkpoint) fn of(name: &str) -> Option<&'static str> {
    let ending = ENDINGS
        .iter()
        .find(|(ending, _)| name.ends_with(ending) && boundary(name, ending));
    let key = || {
        let first = name.split(['.', '/']).next();
        KEYS.iter().find(|&&(key, _)| first == Some(key))
    };
    let slot = || {
        name.contains("/.OPTIMIZER_SLOT/")
            .then_some("the optimiser's state")
    };
    let heading = ending.or_else(key).map(|&(_, heading)| heading);
    heading.or_else(slot)
}

/// Whether the ending is a whole part of the name: not `my_global_step`.
fn boundary(name: &str, ending: &str) -> bool {
    let before = name.len() - ending.len();
    ending.starts_with('/') || before == 0 || name[..before].ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_is_told_from_the_network() {
        for (name, heading) in [
            (
                "MobilenetV1/Conv2d_0/weights/RMSProp_1",
                Some("RMSProp's slots"),
            ),
            (
                "MobilenetV1/Conv2d_0/weights/ExponentialMovingAverage",
                Some(AVERAGES),
            ),
            ("global_step", Some("counters")),
            ("state_dict_ema.conv_stem.weight", Some(AVERAGES)),
            ("optimizer.state.0.exp_avg", Some("the optimiser's state")),
            ("my_global_step", None),
            ("emancipated.weight", None),
            ("MobilenetV1/Conv2d_0/weights", None),
            ("state_dict.conv_stem.weight", None),
        ] {
            assert_eq!(of(name), heading, "{name}");
        }
    }
}
