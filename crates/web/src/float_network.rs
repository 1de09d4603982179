//! A network of f32: its description, its weights in one of three types, and its program.

use std::sync::Arc;

use half::f16;
use mobilenet_kernels::KernelError;
use mobilenet_kernels::inference::{
    BranchShape, ConvKind, ImageLayout, Images, LayerShape, Output, PackedWeights, Packer, Pooling,
    Program, ProgramConfig, WeightType,
};
use mobilenet_kernels::simd::Isa;

use crate::error::{WebError, check_size};
use crate::float_predictors::{Predictions, Predictors};
use crate::network::{DETECTS, Layers, MOST_LAYERS, Network, floats, lengths, possible, resolve};
use crate::words::{MOST_CHANNELS, Words};

/// A network whose layers are still to come.
#[derive(Debug)]
pub(crate) struct FloatLayers {
    packing: Packing,
    shapes: Vec<LayerShape>,
    /// A detector's, which come after the layers.
    predictors: Predictors,
    classes: usize,
    pooling: Pooling,
    size: [usize; 2],
}

/// How far the weights are packed.
#[derive(Debug)]
enum Packing {
    /// The layer of this index is next, where branches are counted after the layers; the classifier
    /// comes after the last one.
    Layer(Packer, usize),
    Done(PackedWeights),
    Failed,
}

impl FloatLayers {
    /// Reads a description: pooled rows and columns (0 for all), classes (0 for none), number of
    /// layers, then for each its kind, output channels, window and activation; a detector's branches.
    /// `bytes` is how many bytes all weights have.
    pub(crate) fn read(
        words: &mut Words<'_>,
        [rows, columns, channels]: [usize; 3],
        bytes: usize,
    ) -> Result<Self, WebError> {
        let pooling = match [words.count()?, words.count()?] {
            [0, 0] => Pooling::Global,
            window => Pooling::Window(window.map(|side| side.max(1))),
        };
        let classes = words.count()?;
        check_size("the number of classes", classes.max(1), MOST_CHANNELS)?;
        let layers = words.size("the number of layers", MOST_LAYERS)?;
        let mut shapes = Vec::with_capacity(layers);
        let (mut map, mut inputs) = ([rows, columns], channels);
        let (mut maps, mut weights) = (Vec::with_capacity(layers), 0usize);
        for _ in 0..layers {
            let shape = shape(words, inputs)?;
            map = resolve(&shape.geometry, map, shape.out_channels)?;
            weights = weights.saturating_add(count(&shape));
            inputs = shape.out_channels;
            shapes.push(shape);
            maps.push((map, inputs));
        }
        let predictors = Predictors::read(words, &maps)?;
        if classes > 0 && !predictors.branches.is_empty() {
            return Err(WebError::Order("a detector has no classifier"));
        }
        for branch in &predictors.branches {
            weights = weights.saturating_add(count(&branch.shape));
        }
        let weights = weights.saturating_add(classes.saturating_mul(inputs));
        // Before memory is allocated for them.
        if weights > bytes {
            return Err(WebError::Weights { weights, bytes });
        }
        let isa = Isa::best().map_err(KernelError::from)?;
        let classifier = (classes > 0).then_some(classes);
        let branches: &[BranchShape] = match DETECTS {
            true => &predictors.branches,
            false => &[],
        };
        let packer = Packer::with_branches(WeightType::F32, isa, &shapes, branches, classifier)?;
        Ok(Self {
            packing: Packing::Layer(packer, 0),
            shapes,
            predictors,
            classes,
            pooling,
            size: [rows, columns],
        })
    }
}

impl Layers for FloatLayers {
    /// The next layer, or the classifier after the last one: see [`decode`].
    fn layer(&mut self, kind: u32, bytes: &[u8]) -> Result<(), WebError> {
        // After an error, the network stays failed.
        let packing = std::mem::replace(&mut self.packing, Packing::Failed);
        let Packing::Layer(mut packer, index) = packing else {
            return Err(WebError::Order("the network has no more layers"));
        };
        let branches = &self.predictors.branches;
        let branch = |index: usize| branches.get(index).map(|branch| &branch.shape);
        let layers = self.shapes.len();
        let shape = self.shapes.get(index);
        let Some(shape) = shape.or_else(|| branch(index.checked_sub(layers)?)) else {
            let features = self.shapes.last().map_or(0, |shape| shape.out_channels);
            let (weights, bias) = decode(kind, bytes, self.classes, features, index)?;
            self.packing = Packing::Done(packer.head(&weights, &bias)?);
            return Ok(());
        };
        let depth = count(shape) / shape.out_channels.max(1);
        let (weights, bias) = decode(kind, bytes, shape.out_channels, depth, index)?;
        packer.layer(&weights, &bias)?;
        let is_last = index + 1 == layers + branches.len() && self.classes == 0;
        self.packing = match is_last {
            true => Packing::Done(packer.finish()?),
            false => Packing::Layer(packer, index + 1),
        };
        Ok(())
    }

    fn plan(self: Box<Self>, threads: usize) -> Result<Box<dyn Network>, WebError> {
        let Packing::Done(weights) = self.packing else {
            return Err(WebError::Order("layers of the network are missing"));
        };
        let is_detector = DETECTS && !self.predictors.branches.is_empty();
        let outputs = match (is_detector, self.classes) {
            (true, _) => self.predictors.outputs(),
            (false, 0) => vec![Output::Features],
            (false, _) => vec![Output::Features, Output::Logits],
        };
        let config = ProgramConfig {
            height: self.size[0],
            width: self.size[1],
            geometries: self.shapes.iter().map(|shape| shape.geometry).collect(),
            outputs,
            pooling: self.pooling,
            layout: ImageLayout::Nhwc,
            threads: possible(threads),
            normalization: None,
        };
        let program = Program::new(Arc::new(weights), &config)?;
        let predictors = self.predictors;
        let predictions = is_detector.then(|| predictors.predictions(program.output_shapes()));
        Ok(Box::new(FloatNetwork {
            program,
            predictions,
        }))
    }
}

/// A network that is ready to run.
#[derive(Debug)]
struct FloatNetwork {
    program: Program,
    /// A detector's, whose features are the encodings of boxes, and whose logits are scores.
    predictions: Option<Predictions>,
}

impl Network for FloatNetwork {
    fn outputs(&self) -> [usize; 2] {
        match self.predictions.as_ref().filter(|_| DETECTS) {
            None => lengths(self.program.output_shapes()),
            Some(predictions) => predictions.lengths(),
        }
    }

    fn run(
        &mut self,
        input: &[f32],
        features: &mut [f32],
        logits: &mut [f32],
    ) -> Result<(), WebError> {
        let images = Images::F32(input, ImageLayout::Nhwc);
        if let Some(predictions) = self.predictions.as_mut().filter(|_| DETECTS) {
            self.program.run_all(&images, &mut predictions.outputs())?;
            predictions.write(features, logits);
            return Ok(());
        }
        let outputs: &mut [&mut [f32]] = match logits.is_empty() {
            true => &mut [features],
            false => &mut [features, logits],
        };
        Ok(self.program.run_all(&images, outputs)?)
    }
}

/// A layer's description; its input has that many channels.
fn shape(words: &mut Words<'_>, inputs: usize) -> Result<LayerShape, WebError> {
    let kind = match words.next()? {
        0 => ConvKind::Conv,
        1 => ConvKind::Depthwise,
        found => {
            let what = "a kind of layer";
            return Err(WebError::Unknown { what, found });
        }
    };
    Ok(LayerShape {
        kind,
        in_channels: inputs,
        out_channels: words.size("the channels of a layer", MOST_CHANNELS)?,
        geometry: words.window()?,
        activation: words.activation()?,
    })
}

/// Number of a layer's weights.
fn count(shape: &LayerShape) -> usize {
    let inputs = match shape.kind {
        ConvKind::Conv => shape.in_channels,
        ConvKind::Depthwise => 1,
    };
    let [rows, columns] = shape.geometry.kernel;
    let sizes = [shape.out_channels, inputs, rows, columns];
    (sizes.into_iter()).fold(1usize, |product, size| product.saturating_mul(size))
}

/// A layer's weights, `[out, in, rows, columns]`, and biases, from bytes: biases as f32; if the
/// weights are of 8 bits, a scale for each output channel as f32; the weights.
fn decode(
    kind: u32,
    bytes: &[u8],
    outputs: usize,
    depth: usize,
    layer: usize,
) -> Result<(Vec<f32>, Vec<f32>), WebError> {
    let (size, scales) = match kind {
        0 => (4, 0),
        1 => (2, 0),
        2 => (1, outputs),
        found => {
            let what = "a type of weights";
            return Err(WebError::Unknown { what, found });
        }
    };
    let expected = 4 * (outputs + scales) + size * outputs * depth;
    if bytes.len() != expected {
        let found = bytes.len();
        return Err(WebError::Bytes {
            layer,
            expected,
            found,
        });
    }
    let (bias, rest) = bytes.split_at(4 * outputs);
    let (scales, rest) = rest.split_at(4 * scales);
    let (bias, scales) = (floats(bias), floats(scales));
    let weights: Vec<f32> = match kind {
        0 => floats(rest),
        1 => {
            let halves = rest.as_chunks().0.iter();
            halves
                .map(|&half| f16::from_le_bytes(half).to_f32())
                .collect()
        }
        _ => {
            let channels = rest.chunks_exact(depth.max(1)).zip(&scales);
            channels
                .flat_map(|(steps, scale)| {
                    steps.iter().map(move |&step| f32::from(step as i8) * scale)
                })
                .collect()
        }
    };
    if weights.iter().chain(&bias).any(|value| !value.is_finite()) {
        return Err(WebError::NotFinite { layer });
    }
    Ok((weights, bias))
}
