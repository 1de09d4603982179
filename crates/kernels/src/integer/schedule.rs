//! Layers and an image size -> steps, and where their maps are in the arena.
//!
//! Layers are in a chain, so two places suffice: a step reads a map in one and writes to the other.
//! What only the caller reads is written to a third, from which it is exported at once.

use super::check::error;
use super::convolution::{CHUNK, Convolution, Source};
use super::depthwise::Depthwise;
use super::map::{Border, Map};
use super::network::{Arithmetic, Quantized, ValueKind};
use super::packed::{PackedDepthwise, PackedIntegers, PackedMatrix, PackedOperation};
use super::rounding::{ByteScale, FixedPoint, MeanFactor};
use super::step::Step;
use crate::error::KernelError;
use crate::geometry::{ConvGeometry, ConvSize};
use crate::simd::integer::{BLOCK, IntegerKernel, IntegerSimd, dispatch};

/// Steps and the sizes of their memory, in bytes.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) steps: Vec<Step>,
    /// Bytes of all places.
    pub(super) maps: usize,
    /// Bytes of a thread's scratch.
    pub(super) scratch: usize,
    /// Rows, columns and channels of one image's outputs.
    pub(super) shapes: Vec<[usize; 3]>,
    /// Bytes become numbers by these.
    pub(super) first: Quantized,
}

/// The place of what only the caller reads: a branch's output, or a layer's with its constants.
const APART: usize = 2;
/// Bytes that may be read beyond a map: those of a vector or of a chunk.
const SLACK: usize = 64;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Most bytes of a map with its border.
const MOST_BYTES: usize = 1 << 28;
/// Most pixels of a mean: their sums fit 32 bits.
const MOST_AVERAGED: usize = 1 << 22;
/// Bytes of a band's left operands, so that they stay in a near cache.
const BAND_BYTES: usize = 64 << 10;
/// Tiles of all instruction sets divide it.
const BAND_PIXELS: usize = 12;

struct Planner<'a> {
    weights: &'a PackedIntegers,
    outputs: &'a [usize],
    /// The last layer of the chain that is needed.
    needed: usize,
    schedule: Schedule,
    /// The map that the next layer reads, with the border that it needs.
    current: Map,
    /// Largest bytes in each place: two for the chain, one for what only the caller reads.
    places: [usize; 3],
    /// Which place the current map is in.
    place: usize,
}

impl Schedule {
    pub(super) fn new(
        weights: &PackedIntegers,
        size: [usize; 2],
        outputs: &[usize],
    ) -> Result<Self, KernelError> {
        if size.contains(&0) {
            return Err(KernelError::Zero { what: "image size" });
        }
        if let Some(&output) = outputs.iter().find(|&&o| o >= weights.layers.len()) {
            return Err(KernelError::Length {
                what: "outputs",
                expected: weights.layers.len(),
                found: output.saturating_add(1),
            });
        }
        let needed = weights.last_needed(outputs);
        let layers = &weights.layers[..=needed];
        // A network of numbers begins with their quantisation.
        let (first, quantized) = match (weights.input, layers.first()) {
            (ValueKind::Quantized(quantized), _) => (0, quantized),
            (ValueKind::F32, Some(layer)) => match (&layer.operation, layer.output) {
                (PackedOperation::Quantize, ValueKind::Quantized(quantized)) => (1, quantized),
                _ => return Err(error(&layer.name, "its input is not quantised")),
            },
            (ValueKind::F32, None) => {
                return Err(KernelError::Zero { what: "layers" });
            }
        };
        let [_, _, channels] = weights.input_shape;
        let mut planner = Planner {
            weights,
            outputs,
            needed,
            schedule: Self {
                steps: Vec::new(),
                maps: 0,
                scratch: 0,
                shapes: vec![[0; 3]; outputs.len()],
                first: quantized,
            },
            current: Map {
                offset: 0,
                height: size[0],
                width: size[1],
                channels,
                border: Border::default(),
                scale: quantized.into(),
            },
            places: [0; 3],
            place: 1,
        };
        let shape = planner.current.shape();
        let map = planner.next(first, shape, quantized.into())?;
        planner.schedule.steps.push(Step::Load(map));
        if first == 1 {
            planner.finish_layer(0)?;
        }
        let mut layer = first;
        while layer < layers.len() {
            layer = planner.plan(layer)?;
        }
        Ok(planner.finish())
    }
}

impl Planner<'_> {
    fn name(&self, layer: usize) -> &str {
        &self.weights.layers[layer].name
    }

    fn window(&self, layer: usize, geometry: &ConvGeometry) -> Result<ConvSize, KernelError> {
        let resolved = geometry.resolve(1, self.current.height, self.current.width);
        resolved.map_err(|cause| error(self.name(layer), cause))
    }

    /// The border that a layer needs around its input of a shape.
    fn border(&self, layer: usize, [height, width, _]: [usize; 3]) -> Result<Border, KernelError> {
        let geometry = match self.weights.layers.get(layer).map(|layer| &layer.operation) {
            Some(PackedOperation::Matrix(matrix)) => matrix.geometry,
            Some(PackedOperation::Depthwise(depthwise)) if !depthwise.repeats() => {
                depthwise.geometry
            }
            _ => return Ok(Border::default()),
        };
        let size = geometry.resolve(1, height, width);
        let size = size.map_err(|cause| error(self.name(layer), cause))?;
        Ok(Border::of(&size))
    }

    /// A map in the other place, for a layer to read. It becomes the current one.
    fn next(
        &mut self,
        reader: usize,
        shape: [usize; 3],
        scale: ByteScale,
    ) -> Result<Map, KernelError> {
        let border = match self.is_last(reader) {
            true => Border::default(),
            false => self.border(reader, shape)?,
        };
        self.next_with(border, shape, scale)
    }

    fn next_with(
        &mut self,
        border: Border,
        [height, width, channels]: [usize; 3],
        scale: ByteScale,
    ) -> Result<Map, KernelError> {
        self.place = 1 - self.place;
        let map = Map {
            offset: self.place,
            height,
            width,
            channels,
            border,
            scale,
        };
        self.current = map;
        self.keep(map)
    }

    /// Makes room for a map in its place.
    fn keep(&mut self, map: Map) -> Result<Map, KernelError> {
        let bytes = map.bytes().filter(|&bytes| bytes <= MOST_BYTES);
        let bytes = bytes.ok_or(KernelError::Overflow {
            what: "a map with its border",
        })?;
        // Kernels may read a pixel beyond it.
        let place = &mut self.places[map.offset];
        *place = (bytes + map.channels).max(*place);
        Ok(map)
    }

    /// Whether no layer from `layer` on is needed.
    fn is_last(&self, layer: usize) -> bool {
        self.needed < layer
    }

    /// Adds the steps of a layer, or of two. Returns the next one.
    fn plan(&mut self, layer: usize) -> Result<usize, KernelError> {
        let packed = &self.weights.layers[layer];
        let input = self.current;
        let wrong = |problem: &str| error(&packed.name, problem);
        let ValueKind::Quantized(quantized) = packed.output else {
            // Numbers are written by the export.
            self.export(layer, input)?;
            return Ok(layer + 1);
        };
        let scale = ByteScale::from(quantized);
        let next = layer + 1;
        match &packed.operation {
            PackedOperation::Dequantize => return Err(wrong("it has no numbers")),
            PackedOperation::Matrix(matrix) => {
                let size = self.window(layer, &matrix.geometry)?;
                let source = windows(&input, matrix);
                self.convolution(layer, matrix, source, size, input.channels)?;
            }
            PackedOperation::Depthwise(depthwise) => {
                return self.depthwise(layer, depthwise, scale);
            }
            PackedOperation::AveragePool(_) | PackedOperation::Mean
                if input.height * input.width > MOST_AVERAGED =>
            {
                return Err(wrong("it averages too many pixels"));
            }
            PackedOperation::AveragePool(geometry) => {
                let size = self.window(layer, geometry)?;
                let shape = [size.rows.output, size.columns.output, input.channels];
                let output = self.next(next, shape, scale)?;
                self.schedule.steps.push(Step::Pool {
                    input,
                    size,
                    output,
                });
            }
            PackedOperation::Mean => {
                let count = input.height * input.width;
                let (from, to) = (input.scale.scale, scale.scale);
                let factor = MeanFactor::new(from, to, count, self.weights.arithmetic);
                let output = self.next(next, [1, 1, input.channels], scale)?;
                self.schedule.steps.push(Step::Mean {
                    input,
                    factor,
                    output,
                });
            }
            PackedOperation::Flatten => {
                let values = input.height * input.width * input.channels;
                let output = self.next(next, [1, 1, values], scale)?;
                self.schedule.steps.push(Step::Copy { input, output });
            }
            PackedOperation::Softmax(_) => {
                let output = self.next(next, input.shape(), scale)?;
                self.schedule.steps.push(Step::Softmax {
                    layer,
                    input,
                    output,
                });
            }
            PackedOperation::Quantize => {
                if self.weights.arithmetic == Arithmetic::Xnnpack
                    && input.scale.scale != scale.scale
                {
                    return Err(wrong("integers can only get another zero point"));
                }
                let table = Box::new(translation(input.scale, scale));
                let output = self.next(next, input.shape(), scale)?;
                self.schedule.steps.push(Step::Translate {
                    input,
                    table,
                    output,
                });
            }
        }
        self.finish_layer(layer)?;
        Ok(next)
    }

    /// A depthwise convolution, together with the convolution after it if that reads single pixels
    /// and nobody else reads the map in between.
    fn depthwise(
        &mut self,
        layer: usize,
        packed: &PackedDepthwise,
        scale: ByteScale,
    ) -> Result<usize, KernelError> {
        let size = self.window(layer, &packed.geometry)?;
        if self.current.channels != packed.in_channels {
            return Err(self.channels(layer, packed.in_channels));
        }
        if packed.repeats() {
            let input = self.current;
            let times = packed.out_channels / packed.in_channels;
            let shape = [input.height, input.width, packed.out_channels];
            let output = self.next_with(Border::of(&size), shape, input.scale)?;
            self.schedule.steps.push(Step::Repeat {
                input,
                times,
                output,
            });
        }
        let (width, next) = (size.columns.output, layer + 1);
        let products = self.weights.isa.products();
        let depthwise = Depthwise::new(layer, packed, self.current, width, products);
        let follower = self.weights.layers.get(next).map(|next| &next.operation);
        match follower {
            Some(PackedOperation::Matrix(matrix))
                if matrix.geometry.is_pointwise()
                    && !self.outputs.contains(&layer)
                    && self.weights.branches_of(layer, self.outputs).is_empty()
                    && !self.is_last(next) =>
            {
                let source = Source::Depthwise(depthwise);
                self.convolution(next, matrix, source, size, packed.out_channels)?;
                self.finish_layer(next)?;
                Ok(next + 1)
            }
            _ => {
                let shape = [size.rows.output, width, packed.out_channels];
                let output = self.next(next, shape, scale)?;
                let step = Step::Depthwise(depthwise, output);
                self.schedule.steps.push(step);
                self.finish_layer(layer)?;
                Ok(next)
            }
        }
    }

    fn channels(&self, layer: usize, expected: usize) -> KernelError {
        let found = self.current.channels;
        let problem = format!("its input has {found} channels, expected {expected}");
        error(self.name(layer), problem)
    }

    /// A convolution whose windows come from `source`, `channels` of them.
    fn convolution(
        &mut self,
        layer: usize,
        matrix: &PackedMatrix,
        source: Source,
        size: ConvSize,
        channels: usize,
    ) -> Result<(), KernelError> {
        if channels != matrix.in_channels {
            return Err(self.channels(layer, matrix.in_channels));
        }
        let ValueKind::Quantized(quantized) = self.weights.layers[layer].output else {
            return Err(error(self.name(layer), "its output must be integers"));
        };
        let shape = [size.rows.output, size.columns.output, matrix.out_channels];
        let output = self.next(layer + 1, shape, quantized.into())?;
        self.product(layer, matrix, source, output);
        Ok(())
    }

    /// The step of a convolution into a map.
    fn product(&mut self, layer: usize, matrix: &PackedMatrix, source: Source, output: Map) {
        let value = dispatch(matrix.products, ValueBytes);
        let pixels = BAND_BYTES / (matrix.stride * value);
        let most = (pixels / BAND_PIXELS).max(1) * BAND_PIXELS;
        let all = (output.height * output.width).max(1);
        let band = all
            .div_ceil(all.div_ceil(most))
            .next_multiple_of(BAND_PIXELS);
        // A unit for blocks reads whole ones.
        let bytes = (band.next_multiple_of(BLOCK) * matrix.stride + CHUNK) * value + SLACK;
        self.schedule.scratch = self.schedule.scratch.max(bytes);
        self.schedule.steps.push(Step::Convolution(Convolution {
            source,
            layer,
            products: matrix.products,
            band,
            output,
        }));
    }

    /// What else is done with a layer's output, which is the current map: exports and branches.
    fn finish_layer(&mut self, layer: usize) -> Result<(), KernelError> {
        self.export(layer, self.current)?;
        for branch in self.weights.branches_of(layer, self.outputs) {
            let packed = &self.weights.layers[branch];
            let (PackedOperation::Matrix(matrix), ValueKind::Quantized(quantized)) =
                (&packed.operation, packed.output)
            else {
                return Err(error(&packed.name, "a branch must be a convolution"));
            };
            let source = windows(&self.current, matrix);
            let output = self.keep(Map {
                offset: APART,
                channels: matrix.out_channels,
                border: Border::default(),
                scale: quantized.into(),
                ..self.current
            })?;
            self.product(branch, matrix, source, output);
            self.export(branch, output)?;
        }
        Ok(())
    }

    /// Writes a map to all outputs that are this layer's, with the channels that are constants.
    fn export(&mut self, layer: usize, mut map: Map) -> Result<(), KernelError> {
        if !self.outputs.contains(&layer) {
            return Ok(());
        }
        if let Some(computed) = &self.weights.layers[layer].computed {
            let input = map;
            map = self.keep(Map {
                offset: APART,
                channels: computed.all(),
                border: Border::default(),
                ..input
            })?;
            self.schedule.steps.push(Step::Restore {
                layer,
                input,
                output: map,
            });
        }
        for (index, &output) in self.outputs.iter().enumerate() {
            if output == layer {
                self.schedule.shapes[index] = map.shape();
                self.schedule.steps.push(Step::Export(map, index));
            }
        }
        Ok(())
    }

    /// Turns places into offsets.
    fn finish(mut self) -> Schedule {
        let mut starts = [0; 3];
        for (start, bytes) in starts.iter_mut().zip(self.places) {
            *start = self.schedule.maps;
            self.schedule.maps += (bytes + SLACK).next_multiple_of(LINE);
        }
        self.schedule.scratch = self.schedule.scratch.next_multiple_of(LINE);
        for step in &mut self.schedule.steps {
            step.maps(|map| map.offset = starts[map.offset]);
        }
        self.schedule
    }
}

impl PackedDepthwise {
    fn repeats(&self) -> bool {
        self.in_channels != self.out_channels
    }
}

/// Windows of a map as runs of neighbouring bytes.
fn windows(input: &Map, matrix: &PackedMatrix) -> Source {
    let geometry = &matrix.geometry;
    let [rows, columns] = geometry.kernel;
    // The border is that of the chain's windows; those of single pixels begin behind it.
    let start = match geometry.is_pointwise() {
        true => input.at(0, 0) - input.offset,
        false => 0,
    };
    let (row, channels) = (input.row() * geometry.dilation, input.channels);
    let runs = match geometry.dilation {
        1 => (0..rows)
            .map(|y| [start + y * row, columns * channels])
            .collect(),
        dilation => (0..rows * columns)
            .map(|tap| {
                [
                    tap / columns * row + tap % columns * dilation * channels,
                    channels,
                ]
            })
            .collect(),
    };
    Source::Windows {
        input: *input,
        stride: geometry.stride,
        runs,
    }
}

/// Bytes of a left operand.
struct ValueBytes;

impl IntegerKernel for ValueBytes {
    type Output = usize;

    fn run<S: IntegerSimd>(self, _: S) -> usize {
        size_of::<S::Value>()
    }
}

/// Bytes of one meaning -> bytes of another.
fn translation(from: ByteScale, to: ByteScale) -> [u8; 256] {
    let factor = FixedPoint::new(f64::from(from.scale) / f64::from(to.scale));
    std::array::from_fn(|byte| {
        let steps = factor.multiply(byte as i32 - from.zero_point);
        (steps + i64::from(to.zero_point)).clamp(0, 255) as u8
    })
}
