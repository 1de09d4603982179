//! Keras' JSON description of a network, read as a graph. It also names variables that the file
//! only numbers.

use std::collections::HashMap;

use mobilenet_kernels::Padding;
use serde_json::Value;

use super::graph::{BatchNorm, Conv, Graph, Input, Operation, OperationKind, Operator};
use super::{Budget, NamedTensors, RawTensor, ReadError};
use crate::array::Values;
use crate::checkpoint::layout::Layout;

const PLACE: &str = "model_config";

/// Most bytes of memory per byte of JSON: `0,` becomes a whole value.
const GROWTH: u64 = 32;

/// Reads the description as a graph, and names numbered variables by it.
pub(super) fn apply(
    config: &str,
    named: &mut NamedTensors,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    budget.take(PLACE, GROWTH.saturating_mul(config.len() as u64))?;
    let config: Value =
        serde_json::from_str(config).map_err(|error| ReadError::malformed(PLACE, error))?;
    let mut reader = Reader {
        named,
        graph: Graph::default(),
        counters: HashMap::new(),
    };
    reader.model(&config, None)?;
    named.graph = Some(reader.graph);
    Ok(())
}

struct Reader<'a> {
    named: &'a mut NamedTensors,
    graph: Graph,
    /// Number of layers of each class so far, for files that name weights by it.
    counters: HashMap<String, usize>,
}

/// A layer of the description.
struct Described<'a> {
    class: &'a str,
    name: &'a str,
    config: &'a Value,
}

impl Described<'_> {
    fn flag(&self, key: &str, default: bool) -> bool {
        self.config[key].as_bool().unwrap_or(default)
    }

    fn refuse(&self, problem: impl ToString) -> ReadError {
        ReadError::malformed(format!("{PLACE}, layer `{}`", self.name), problem)
    }

    /// A pair for rows and columns, or one size for both.
    fn pair(&self, key: &str) -> Result<[usize; 2], ReadError> {
        pair(&self.config[key]).ok_or_else(|| self.refuse(format!("`{key}` is no pair of sizes")))
    }

    /// The activation after the layer. `None` for no activation, and for softmax, which does not
    /// change the order of classes.
    fn activation(&self) -> Option<String> {
        // Keras saves its own functions by name, and layers and custom functions as objects.
        let name = |value: &Value| {
            let name = value["registered_name"]
                .as_str()
                .or(value["class_name"].as_str())?;
            Some(name.to_string())
        };
        let value = &self.config["activation"];
        let activation = value.as_str().map(str::to_string).or_else(|| name(value))?;
        let last = activation.rsplit(['>', '.']).next().unwrap_or_default();
        (!matches!(last, "linear" | "softmax")).then(|| last.to_string())
    }
}

fn pair(value: &Value) -> Option<[usize; 2]> {
    let size = |value: &Value| usize::try_from(value.as_u64()?).ok();
    match value {
        Value::Array(sizes) => match sizes.as_slice() {
            [rows, columns] => Some([size(rows)?, size(columns)?]),
            _ => None,
        },
        other => Some([size(other)?; 2]),
    }
}

impl Reader<'_> {
    /// Reads the layers of a model that takes the tensor `input`, and returns its output. Layers of
    /// a functional model name their inputs. A layer of a sequential model takes the output of the
    /// previous one.
    fn model(&mut self, model: &Value, input: Option<&str>) -> Result<String, ReadError> {
        let config = &model["config"];
        // In the oldest files, a sequential model is a bare list.
        let layers = config["layers"].as_array().or(config.as_array());
        let layers = layers.ok_or_else(|| ReadError::malformed(PLACE, "it has no layers"))?;
        // Outputs of this model's layers, by the layers' names.
        let mut outputs: HashMap<&str, String> = HashMap::new();
        let mut previous = input.map(str::to_string);
        for layer in layers {
            let (Some(class), Some(name)) = (
                layer["class_name"].as_str(),
                layer["config"]["name"].as_str().or(layer["name"].as_str()),
            ) else {
                return Err(ReadError::malformed(PLACE, "a layer without class or name"));
            };
            let described = Described {
                class,
                name,
                config: &layer["config"],
            };
            if class == "InputLayer" {
                let output = match input {
                    Some(input) => input.to_string(),
                    None => self.input(&described),
                };
                previous = Some(output.clone());
                outputs.insert(name, output);
                continue;
            }
            let taken = match inbound(&layer["inbound_nodes"]) {
                names if names.is_empty() => {
                    vec![previous.clone().unwrap_or_else(|| self.input(&described))]
                }
                names => names
                    .iter()
                    .map(|&name| {
                        outputs
                            .get(name)
                            .cloned()
                            .unwrap_or_else(|| name.to_string())
                    })
                    .collect(),
            };
            let output = if matches!(class, "Functional" | "Model" | "Sequential") {
                self.model(layer, taken.first().map(String::as_str))?
            } else {
                self.layer(&described, taken)?
            };
            previous = Some(output.clone());
            outputs.insert(name, output);
        }
        previous.ok_or_else(|| ReadError::malformed(PLACE, "it has no layers"))
    }

    /// Sets the network's input from the first layer, which knows its shape, and returns its name.
    fn input(&mut self, layer: &Described<'_>) -> String {
        let shape = ["batch_shape", "batch_input_shape"]
            .iter()
            .find_map(|key| layer.config[key].as_array());
        let size = |index: usize| usize::try_from(shape?.get(index)?.as_u64()?).ok();
        self.graph.input = Input {
            name: "input".to_string(),
            size: size(1).zip(size(2)).map(|(rows, columns)| [rows, columns]),
            samples: None,
        };
        self.graph.input.name.clone()
    }

    fn layer(&mut self, layer: &Described<'_>, inputs: Vec<String>) -> Result<String, ReadError> {
        if layer.config["data_format"].as_str() == Some("channels_first") {
            return Err(layer.refuse("channels_first is not supported"));
        }
        self.name_variables(layer);
        let output = layer.name.to_string();
        if layer.class == "Rescaling" {
            let scaled = format!("{output}:scaled");
            let scale = self.constant(layer, "scale", Operator::Multiply)?;
            let offset = self.constant(layer, "offset", Operator::Add)?;
            self.push(layer, inputs, &scaled, scale);
            self.push(layer, vec![scaled], &output, offset);
        } else {
            let kind = self.kind(layer)?;
            self.push(layer, inputs, &output, kind);
        }
        Ok(output)
    }

    fn push(
        &mut self,
        layer: &Described<'_>,
        inputs: Vec<String>,
        output: &str,
        kind: OperationKind,
    ) {
        self.graph.operations.push(Operation {
            name: layer.name.to_string(),
            inputs,
            output: output.to_string(),
            kind,
        });
    }

    /// An operation with a number of the description, which is inserted as a tensor.
    fn constant(
        &mut self,
        layer: &Described<'_>,
        key: &str,
        operator: Operator,
    ) -> Result<OperationKind, ReadError> {
        let number = layer.config[key].as_f64();
        let number = number.ok_or_else(|| layer.refuse(format!("`{key}` is no number")))?;
        let operand = format!("{}/{key}", layer.name);
        let tensor = RawTensor::new("JSON", vec![1], Some(Values::F64(vec![number])));
        self.named.insert(operand.clone(), tensor)?;
        Ok(OperationKind::Arithmetic { operator, operand })
    }

    fn kind(&self, layer: &Described<'_>) -> Result<OperationKind, ReadError> {
        let variable = |name: &str| format!("{}/{name}", layer.name);
        let optional = |used: bool, name: &str| used.then(|| variable(name));
        Ok(match layer.class {
            "Conv2D" | "DepthwiseConv2D" => {
                let depthwise = layer.class == "DepthwiseConv2D";
                let old = variable("depthwise_kernel");
                OperationKind::Conv(Conv {
                    weights: if self.named.tensors.contains_key(&old) {
                        old
                    } else {
                        variable("kernel")
                    },
                    layout: if depthwise {
                        Layout::Hwcm
                    } else {
                        Layout::Hwio
                    },
                    depthwise,
                    bias: optional(layer.flag("use_bias", true), "bias"),
                    stride: layer.pair("strides")?,
                    dilation: pair(&layer.config["dilation_rate"]).unwrap_or([1, 1]),
                    padding: match layer.config["padding"].as_str() {
                        Some("same") => Padding::Same,
                        Some("valid") => Padding::VALID,
                        Some(other) => return Err(layer.refuse(format!("padding `{other}`"))),
                        None => return Err(layer.refuse("no padding")),
                    },
                    activation: layer.activation(),
                })
            }
            "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2" => {
                OperationKind::BatchNorm(BatchNorm {
                    gamma: optional(layer.flag("scale", true), "gamma"),
                    beta: optional(layer.flag("center", true), "beta"),
                    mean: variable("moving_mean"),
                    variance: variable("moving_variance"),
                    epsilon: layer.config["epsilon"].as_f64().unwrap_or(1e-3),
                })
            }
            "Dense" => OperationKind::Dense {
                weights: variable("kernel"),
                layout: Layout::Dense,
                bias: optional(layer.flag("use_bias", true), "bias"),
            },
            "ReLU" => OperationKind::Activation(relu(layer.config)),
            "Activation" => layer
                .activation()
                .map_or(OperationKind::PassThrough, OperationKind::Activation),
            "LeakyReLU" | "PReLU" | "ELU" | "ThresholdedReLU" => {
                OperationKind::Activation(layer.class.to_string())
            }
            "ZeroPadding2D" => OperationKind::Pad(
                zero_padding(&layer.config["padding"])
                    .ok_or_else(|| layer.refuse("`padding` is no pair of pairs"))?,
            ),
            "GlobalAveragePooling2D" => OperationKind::AveragePool(None),
            "AveragePooling2D" => OperationKind::AveragePool(Some(layer.pair("pool_size")?)),
            "Reshape" | "Flatten" | "Dropout" | "SpatialDropout2D" | "Softmax" => {
                OperationKind::PassThrough
            }
            other => OperationKind::Other(other.to_string()),
        })
    }

    /// Renames `<layer>/vars/0` to `<layer>/kernel`, by the order in which the class makes its
    /// variables. Files before Keras 3.4 have the class and a counter in place of the layer's name.
    fn name_variables(&mut self, layer: &Described<'_>) {
        let names: Vec<&str> = match layer.class {
            "Conv2D" | "DepthwiseConv2D" | "Dense" => vec!["kernel", "bias"],
            "BatchNormalization" => [
                ("gamma", layer.flag("scale", true)),
                ("beta", layer.flag("center", true)),
                ("moving_mean", true),
                ("moving_variance", true),
            ]
            .into_iter()
            .filter_map(|(name, used)| used.then_some(name))
            .collect(),
            _ => return,
        };
        let class = snake_case(layer.class);
        let count = self.counters.entry(class.clone()).or_default();
        let key = match *count {
            0 => class,
            count => format!("{class}_{count}"),
        };
        *count += 1;
        let tensors = &mut self.named.tensors;
        let owner = match tensors.contains_key(&format!("{}/vars/0", layer.name)) {
            true => layer.name,
            false => &key,
        };
        for (i, name) in names.into_iter().enumerate() {
            if let Some(tensor) = tensors.remove(&format!("{owner}/vars/{i}")) {
                let name = format!("{}/{name}", layer.name);
                tensors.entry(name).or_insert(tensor);
            }
        }
    }
}

/// Keras' own rule: `DepthwiseConv2D` becomes `depthwise_conv2d`.
fn snake_case(class: &str) -> String {
    let mut snake = String::new();
    let mut before = None::<char>;
    let mut rest = class.chars().peekable();
    while let Some(c) = rest.next() {
        let starts = c.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase() || rest.peek().is_some_and(char::is_ascii_lowercase)
            });
        if starts {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        before = Some(c);
    }
    snake
}

/// Name of a ReLU layer's function: `relu6`, `relu`, or a description of any other.
fn relu(config: &Value) -> String {
    let number = |key: &str| config[key].as_f64().unwrap_or(0.0);
    let slope = number("negative_slope").max(number("alpha"));
    let threshold = number("threshold");
    match config["max_value"].as_f64() {
        Some(6.0) if slope == 0.0 && threshold == 0.0 => "relu6".to_string(),
        None if slope == 0.0 && threshold == 0.0 => "relu".to_string(),
        max => {
            let max = max.map_or("None".to_string(), |max| max.to_string());
            format!("ReLU(max_value={max}, negative_slope={slope}, threshold={threshold})")
        }
    }
}

/// Reads `((top, bottom), (left, right))`, `(rows, columns)` or one number. Gives top, left,
/// bottom, right.
fn zero_padding(value: &Value) -> Option<[usize; 4]> {
    let [rows, columns] = match value {
        Value::Array(axes) => match axes.as_slice() {
            [rows, columns] => [pair(rows)?, pair(columns)?],
            _ => return None,
        },
        other => [pair(other)?; 2],
    };
    Some([rows[0], columns[0], rows[1], columns[1]])
}

/// Names of the layers whose outputs a layer takes. Keras 2 writes `[[["conv1", 0, 0, {}]]]`, Keras
/// 3 tensors with a `keras_history` among the arguments.
fn inbound(nodes: &Value) -> Vec<&str> {
    let Some(node) = nodes.get(0) else {
        return Vec::new();
    };
    if let Some(taken) = node.as_array() {
        return taken.iter().filter_map(|one| one[0].as_str()).collect();
    }
    let mut names = Vec::new();
    let mut left = vec![&node["args"]];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values.iter().rev()),
            Value::Object(_) => names.extend(value["config"]["keras_history"][0].as_str()),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_classes() {
        for (class, key) in [
            ("Conv2D", "conv2d"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("Dense", "dense"),
        ] {
            assert_eq!(snake_case(class), key);
        }
    }

    #[test]
    fn both_ways_to_say_what_a_layer_takes() {
        let old = serde_json::json!([[["conv1", 0, 0, {}], ["conv2", 0, 0, {}]]]);
        assert_eq!(inbound(&old), ["conv1", "conv2"]);
        let tensor = |name: &str| serde_json::json!({"config": {"keras_history": [name, 0, 0]}});
        let new = serde_json::json!([{"args": [[tensor("a"), tensor("b")]], "kwargs": {}}]);
        assert_eq!(inbound(&new), ["a", "b"]);
        assert!(inbound(&serde_json::json!([])).is_empty());
    }

    #[test]
    fn what_a_relu_layer_is() {
        let relu_of = |json: Value| relu(&json);
        assert_eq!(relu_of(serde_json::json!({"max_value": 6.0})), "relu6");
        assert_eq!(relu_of(serde_json::json!({"max_value": null})), "relu");
        let leaky = serde_json::json!({"max_value": 6.0, "negative_slope": 0.1});
        assert!(relu_of(leaky).contains("negative_slope=0.1"));
    }
}
