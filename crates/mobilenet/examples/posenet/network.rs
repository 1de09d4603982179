//! PoseNet's network: MobileNetV1 with strides and depths of its own, and four layers that read its
//! last map, computed as one.

use std::error::Error;
use std::path::Path;

use mobilenet::kernels::Normalizer;
use mobilenet::kernels::pointwise::pointwise;
use mobilenet::model::architecture::body_layers;
use mobilenet::model::checkpoint::readers::NamedTensors;
use mobilenet::model::checkpoint::{ReadLimits, load_tensors};
use mobilenet::model::conv_defs::ConvDef;
use mobilenet::model::initialize::Parameters;
use mobilenet::model::plan::{InferencePlan, PlanOptions, PlanOutput, PlanWeights};
use mobilenet::model::{ArgScope, Array, BaseConfig, Endpoint, LayerKind, MobileNetV1Config};

use super::decode::VALUES;

/// Bytes of the package's `posenet.bin`.
const BYTES: u64 = 5_032_780;

/// What makes scores, offsets, displacements forward and backward: names of weights and biases, and
/// channels.
const HEADS: [(&str, &str, usize); 4] = [
    ("Const_57", "Const_56", 17),
    ("Const_1", "Const", 34),
    ("Const_59", "Const_58", 32),
    ("Const_61", "Const_60", 32),
];

/// The network for one size of images.
pub(crate) struct PoseNet {
    body: InferencePlan,
    /// Weights and biases of the heads.
    heads: [Vec<f32>; 2],
}

/// Strides end at 16, nothing is dilated, and the last two blocks are not wider than those before.
fn config() -> MobileNetV1Config {
    let first = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)];
    let blocks = first.into_iter().chain([(1, 512); 7]);
    let blocks = blocks.map(|(stride, depth)| ConvDef::separable(stride, depth));
    let base = BaseConfig {
        depth_multiplier: 0.75,
        conv_defs: [ConvDef::conv(2, 32)].into_iter().chain(blocks).collect(),
        arg_scope: ArgScope {
            // Batch normalisation is folded in the file.
            normalizer: Normalizer::Bias,
            ..ArgScope::default()
        },
        ..BaseConfig::default()
    };
    MobileNetV1Config {
        base,
        num_classes: None,
        ..MobileNetV1Config::default()
    }
}

impl PoseNet {
    /// Reads the package's `posenet.json` and the file of weights beside it.
    pub(crate) fn open(manifest: &Path, size: [usize; 2]) -> Result<Self, Box<dyn Error>> {
        let weights = manifest.with_file_name("posenet.bin");
        let named = |error| format!("{}: {error}", weights.display());
        let bytes = std::fs::metadata(&weights).map_err(named)?.len();
        if bytes != BYTES {
            return Err(format!("{}: {bytes} bytes, expected {BYTES}", weights.display()).into());
        }
        let file = load_tensors(manifest, ReadLimits::default())?;
        let (config, mut parameters) = (config(), Parameters::new());
        for (index, layer) in body_layers(&config.base)?.iter().enumerate() {
            // The order of the file is that of the layers, and its numbers go down.
            let [weights, bias] = [55, 54].map(|first| format!("Const_{}", first - 2 * index));
            let axes = match layer.endpoint.kind {
                LayerKind::Depthwise => [2, 3, 0, 1],
                LayerKind::Conv | LayerKind::Pointwise => [3, 2, 0, 1],
            };
            let name = layer.endpoint;
            let weights = array(&file, &weights)?.permute(&axes)?;
            parameters.insert(format!("{name}.weight"), weights);
            parameters.insert(format!("{name}.bias"), array(&file, &bias)?);
        }
        let options = PlanOptions {
            output: PlanOutput::Endpoint(Endpoint::LAST),
            ..PlanOptions::new(size, std::thread::available_parallelism()?.get())
        };
        let body = InferencePlan::new(&PlanWeights::new(&config, &parameters)?, &options)?;
        let mut heads = [Vec::new(), Vec::new()];
        for (name, bias, channels) in HEADS {
            let (weights, bias) = (array(&file, name)?, array(&file, bias)?);
            let [.., inputs] = body.output_shape();
            let expected = [1, 1, inputs, channels];
            if weights.shape() != expected || bias.values().len() != channels {
                let found = weights.shape();
                return Err(format!("`{name}`: {found:?}, expected {expected:?}").into());
            }
            heads[0].extend(weights.permute(&[3, 2, 0, 1])?.into_values());
            heads[1].extend(bias.into_values());
        }
        Ok(Self { body, heads })
    }

    /// The maps of a normalised image, `[rows, columns, 3]`: the numbers of all cells, and the columns.
    pub(crate) fn run(&mut self, image: &[f32]) -> Result<(Vec<f32>, usize), Box<dyn Error>> {
        let [rows, columns, channels] = self.body.output_shape();
        let mut map = vec![0.0; self.body.output_len()];
        self.body.run(image, &mut map)?;
        let cells = rows * columns;
        let mut maps = vec![0.0; cells * VALUES];
        let [weights, bias] = &self.heads;
        pointwise(
            &map,
            weights,
            Some(bias),
            cells,
            channels,
            VALUES,
            &mut maps,
        )?;
        match maps.iter().all(|value| value.is_finite()) {
            true => Ok((maps, columns)),
            false => Err("the network's maps are not finite; its weights are broken".into()),
        }
    }
}

/// A tensor of the file. Its shape is checked where it is used.
fn array(file: &NamedTensors, name: &str) -> Result<Array, Box<dyn Error>> {
    let tensor = file.tensors.get(name);
    let found = tensor.and_then(|tensor| Some((&tensor.shape, tensor.to_f32()?)));
    let (shape, values) = found.ok_or_else(|| format!("posenet.json: `{name}` is missing"))?;
    Ok(Array::new(shape.clone(), values.into_owned())?)
}
