"""The network as a TFLite flatbuffer: convolutions with SAME padding and fused ReLU6."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


class Builder:
    def __init__(self):
        self.buffers = [schema.BufferT()]
        self.tensors, self.operators, self.codes = [], [], []

    def tensor(self, name, shape, values=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name.encode(), list(shape), 0
        tensor.type = schema.TensorType.FLOAT32
        if values is not None:
            tensor.type = schema.TensorType.FLOAT32 if values.dtype == np.float32 else schema.TensorType.INT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code, inputs, outputs, options_type, options):
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self.operators.append(operator)

    def finish(self, inputs, outputs):
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            operator_code = schema.OperatorCodeT()
            operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
            operator_code.version = 1
            model.operatorCodes.append(operator_code)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


OPERATORS, OPTIONS, ACTIVATIONS = schema.BuiltinOperator, schema.BuiltinOptions, schema.ActivationFunctionType


def convolution(model, layer, current, batch, activation):
    if layer.depthwise:
        # [1, rows, columns, channels]
        weight = layer.weight[:, 0].transpose(1, 2, 0)[None]
        options, kind = schema.DepthwiseConv2DOptionsT(), OPTIONS.DepthwiseConv2DOptions
        options.depthMultiplier = 1
        code = OPERATORS.DEPTHWISE_CONV_2D
    else:
        # [out, rows, columns, in]
        weight = layer.weight.transpose(0, 2, 3, 1)
        options, kind = schema.Conv2DOptionsT(), OPTIONS.Conv2DOptions
        code = OPERATORS.CONV_2D
    options.padding = schema.Padding.SAME
    options.strideW = options.strideH = layer.stride
    options.dilationWFactor = options.dilationHFactor = 1
    options.fusedActivationFunction = activation
    inputs = [
        current,
        model.tensor(f"{layer.name}.weight", weight.shape, weight),
        model.tensor(f"{layer.name}.bias", layer.bias.shape, layer.bias),
    ]
    output = model.tensor(layer.name, [batch, *layer.output])
    model.operator(code, inputs, [output], kind, options)
    return output


def detector(model, network, maps, batch):
    """Boxes and scores, joined over the maps."""
    outputs = []
    for part, predictors, values in network.joined():
        joined, total = [], 0
        for layer in predictors:
            cells = convolution(model, layer, maps[layer.reads], batch, ACTIVATIONS.NONE)
            rows, columns, channels = layer.output
            count = rows * columns * channels // values
            options = schema.ReshapeOptionsT()
            options.newShape = [batch, count, values]
            shape = model.tensor(f"{layer.name}.shape", [3], np.array(options.newShape, np.int32))
            joined.append(model.tensor(f"{layer.name}.rows", options.newShape))
            model.operator(OPERATORS.RESHAPE, [cells, shape], [joined[-1]], OPTIONS.ReshapeOptions, options)
            total += count
        options = schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = 1, ACTIVATIONS.NONE
        outputs.append(model.tensor(part, [batch, total, values]))
        model.operator(OPERATORS.CONCATENATION, joined, [outputs[-1]], OPTIONS.ConcatenationOptions, options)
    boxes, logits = outputs
    scores = model.tensor("probabilities", [batch, total, values])
    model.operator(OPERATORS.LOGISTIC, [logits], [scores], OPTIONS.NONE, None)
    return [boxes, scores]


def build(network, batch):
    model = Builder()
    image = current = model.tensor("image", [batch, network.height, network.width, 3])
    maps = []
    for layer in network.layers:
        current = convolution(model, layer, current, batch, ACTIVATIONS.RELU6)
        maps.append(current)
    if network.predictors:
        return model.finish([image], detector(model, network, maps, batch))
    rows, columns, channels = network.layers[-1].output
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideW, pool.strideH = schema.Padding.VALID, 1, 1
    pool.filterHeight, pool.filterWidth = rows, columns
    pool.fusedActivationFunction = ACTIVATIONS.NONE
    pooled = model.tensor("pooled", [batch, 1, 1, channels])
    model.operator(OPERATORS.AVERAGE_POOL_2D, [current], [pooled], OPTIONS.Pool2DOptions, pool)
    weight = model.tensor("logits.weight", network.logits_weight.shape, network.logits_weight)
    bias = model.tensor("logits.bias", network.logits_bias.shape, network.logits_bias)
    logits = model.tensor("logits", [batch, network.logits_bias.shape[0]])
    linear = schema.FullyConnectedOptionsT()
    linear.fusedActivationFunction = ACTIVATIONS.NONE
    linear.keepNumDims = False
    model.operator(
        OPERATORS.FULLY_CONNECTED, [pooled, weight, bias], [logits], OPTIONS.FullyConnectedOptions, linear
    )
    return model.finish([image], [logits])
