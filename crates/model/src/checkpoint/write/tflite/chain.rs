//! A TFLite graph that is a chain of operators, built from the image on.

use mobilenet_kernels::{Activation, ConvGeometry, Padding};

use super::schema::{
    Form, FusedActivation, Kind, Model, Operator, Tensor, TensorType, WindowPadding,
};
use crate::checkpoint::readers::Quantization;
use crate::little_endian::bytes_of;

/// Type and meaning of an activation's numbers.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub(super) kind: TensorType,
    pub(super) quantization: Option<Quantization>,
}

/// A constant: its values as little-endian bytes.
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Numbers,
    pub(super) data: Vec<u8>,
}

/// A convolution.
pub(super) struct Convolution {
    pub(super) name: String,
    pub(super) geometry: ConvGeometry,
    pub(super) activation: FusedActivation,
    pub(super) form: Form,
    pub(super) out_channels: usize,
    pub(super) weights: Constant,
    pub(super) bias: Constant,
    /// Of the result.
    pub(super) numbers: Numbers,
}

/// The graph so far, and the tensor at its end.
pub(super) struct Chain {
    model: Model,
    /// Rows, columns and channels at the end.
    map: [usize; 3],
    /// Whether rows and columns are no axes any more.
    is_flat: bool,
    numbers: Numbers,
}

impl Numbers {
    pub(super) const FLOAT: Self = Self {
        kind: TensorType::Float32,
        quantization: None,
    };

    const INTEGER: Self = Self {
        kind: TensorType::Int32,
        quantization: None,
    };
}

impl Constant {
    /// Integers that are no quantised numbers.
    fn integers(values: &[i32]) -> Self {
        Self {
            shape: vec![values.len()],
            numbers: Numbers::INTEGER,
            data: bytes_of(values),
        }
    }
}

impl From<Activation> for FusedActivation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Identity => Self::None,
            Activation::Relu => Self::Relu,
            Activation::Relu6 => Self::Relu6,
        }
    }
}

impl Chain {
    /// A graph that begins with an image of this many rows, columns and channels.
    pub(super) fn new(name: &str, map: [usize; 3], numbers: Numbers) -> Self {
        let mut chain = Self {
            model: Model {
                tensors: Vec::new(),
                operators: Vec::new(),
                input: 0,
                output: 0,
                metadata: Vec::new(),
            },
            map,
            is_flat: false,
            numbers: numbers.clone(),
        };
        let [rows, columns, channels] = map;
        chain.tensor(name, vec![1, rows, columns, channels], numbers);
        chain
    }

    /// Rows and columns at the end.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.map[0], self.map[1]]
    }

    /// Channels at the end.
    pub(super) fn channels(&self) -> usize {
        self.map[2]
    }

    /// Appends a conversion to integers of this meaning.
    pub(super) fn quantize(&mut self, name: &str, numbers: Numbers) {
        self.numbers = numbers;
        self.append(name, Kind::Quantize, Vec::new());
    }

    /// Appends a conversion to f32.
    pub(super) fn dequantize(&mut self, name: &str) {
        self.numbers = Numbers::FLOAT;
        self.append(name, Kind::Dequantize, Vec::new());
    }

    /// Appends a convolution, after an operator that pads if it does not pad by SAME.
    ///
    /// # Errors
    /// If the window does not fit the map.
    pub(super) fn conv(&mut self, conv: Convolution) -> Result<(), String> {
        let Convolution { name, geometry, .. } = conv;
        if conv.form == Form::FullyConnected {
            if self.size() != [1, 1] || !geometry.is_pointwise() {
                return Err(format!(
                    "{name} is fully connected, but not on a single pixel"
                ));
            }
            self.is_flat = true;
        } else if self.is_flat {
            return Err(format!(
                "{name} is a convolution on what has no rows and columns"
            ));
        }
        let [rows, columns] = self.size();
        let size = geometry
            .resolve(1, rows, columns)
            .map_err(|error| format!("{name}: {error}"))?;
        let padding = match geometry.padding {
            Padding::VALID => WindowPadding::Valid,
            _ if is_same(&geometry) => WindowPadding::Same,
            padding => {
                self.pad(&format!("{name}.pad"), padding);
                WindowPadding::Valid
            }
        };
        self.map = [size.rows.output, size.columns.output, conv.out_channels];
        self.numbers = conv.numbers;
        let kind = Kind::Conv {
            form: conv.form,
            padding,
            stride: geometry.stride,
            dilation: geometry.dilation,
            activation: conv.activation,
        };
        let constants = vec![
            self.constant(&format!("{name}.weight"), conv.weights),
            self.constant(&format!("{name}.bias"), conv.bias),
        ];
        self.append(&name, kind, constants);
        Ok(())
    }

    fn pad(&mut self, name: &str, padding: Padding) {
        let Padding::Explicit {
            top,
            bottom,
            left,
            right,
        } = padding
        else {
            return;
        };
        let sides = [0, 0, top, bottom, left, right, 0, 0];
        let sides = Constant {
            shape: vec![4, 2],
            ..Constant::integers(&sides.map(|side| side as i32))
        };
        let sides = self.constant(&format!("{name}.sides"), sides);
        let [rows, columns, channels] = self.map;
        self.map = [rows + top + bottom, columns + left + right, channels];
        self.append(name, Kind::Pad, vec![sides]);
    }

    /// Appends the average over windows, of which each has as many pixels as lie inside the map.
    ///
    /// # Errors
    /// If the window does not fit the map, or pads explicitly.
    pub(super) fn average_pool(
        &mut self,
        name: &str,
        geometry: &ConvGeometry,
    ) -> Result<(), String> {
        let [rows, columns, channels] = self.map;
        let size = geometry
            .resolve(1, rows, columns)
            .map_err(|error| format!("{name}: {error}"))?;
        let padding = match geometry.padding {
            Padding::VALID => WindowPadding::Valid,
            Padding::Same => WindowPadding::Same,
            padding => {
                return Err(format!(
                    "{name} pads by {padding:?}, as no TFLite pool does"
                ));
            }
        };
        self.map = [size.rows.output, size.columns.output, channels];
        let kind = Kind::AveragePool {
            padding,
            filter: geometry.kernel,
            stride: geometry.stride,
        };
        self.append(name, kind, Vec::new());
        Ok(())
    }

    /// Appends the average over the whole map.
    pub(super) fn mean(&mut self, name: &str, numbers: Numbers) {
        self.map = [1, 1, self.map[2]];
        self.numbers = numbers;
        let axes = self.constant(&format!("{name}.axes"), Constant::integers(&[1, 2]));
        self.append(name, Kind::Mean, vec![axes]);
    }

    /// Appends a reshape to `[batch, values]`.
    pub(super) fn flatten(&mut self, name: &str) {
        let values = self.map.iter().product();
        self.map = [1, 1, values];
        self.is_flat = true;
        let shape = Constant::integers(&[-1, values as i32]);
        let shape = self.constant(&format!("{name}.shape"), shape);
        self.append(name, Kind::Reshape, vec![shape]);
    }

    /// Appends the softmax over the channels.
    pub(super) fn softmax(&mut self, name: &str, beta: f32, numbers: Numbers) {
        self.numbers = numbers;
        self.append(name, Kind::Softmax { beta }, Vec::new());
    }

    /// The graph with a named text.
    pub(super) fn finish(mut self, key: &str, text: String) -> Model {
        self.model.metadata.push((key.to_string(), text));
        self.model
    }

    fn append(&mut self, name: &str, kind: Kind, constants: Vec<usize>) {
        let [rows, columns, channels] = self.map;
        let shape = match self.is_flat {
            true => vec![1, channels],
            false => vec![1, rows, columns, channels],
        };
        let mut inputs = vec![self.model.output];
        inputs.extend(constants);
        let output = self.tensor(name, shape, self.numbers.clone());
        self.model.output = output;
        self.model.operators.push(Operator {
            kind,
            inputs,
            output,
        });
    }

    fn constant(&mut self, name: &str, constant: Constant) -> usize {
        let index = self.tensor(name, constant.shape, constant.numbers);
        self.model.tensors[index].data = constant.data;
        index
    }

    fn tensor(&mut self, name: &str, shape: Vec<usize>, numbers: Numbers) -> usize {
        self.model.tensors.push(Tensor {
            name: name.to_string(),
            shape,
            kind: numbers.kind,
            quantization: numbers.quantization,
            data: Vec::new(),
        });
        self.model.tensors.len() - 1
    }
}

/// Whether the padding is SAME's for an input of any size: at stride 1 by its amount.
fn is_same(geometry: &ConvGeometry) -> bool {
    let span = |side: usize| (side - 1) * geometry.dilation;
    let [rows, columns] = geometry.kernel.map(span);
    match geometry.padding {
        Padding::Same => true,
        Padding::Explicit {
            top,
            bottom,
            left,
            right,
        } => {
            let before = [top, left] == [rows / 2, columns / 2];
            let after = [top + bottom, left + right] == [rows, columns];
            geometry.stride == 1 && before && after
        }
    }
}
