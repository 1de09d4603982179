#!/usr/bin/env python3
"""Writes integer_files.zip: small quantised TFLite files with random weights, of all that networks of
integers may contain. `integers.py` then runs them in LiteRT.

    pip install ai-edge-litert==2.3.0 numpy
    python integer_files.py && python integers.py
"""
import pathlib
import zipfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FOLDER = pathlib.Path(__file__).parent
F32 = np.float32
TYPES = {np.uint8: schema.TensorType.UINT8, np.int8: schema.TensorType.INT8,
         np.int32: schema.TensorType.INT32, np.float32: schema.TensorType.FLOAT32}
NONE, RELU, RELU6 = 0, 1, 3
SAME, VALID = 0, 1


class File:
    """A chain of operators. `x` is what the network computes from the pattern, roughly: it only serves
    to choose scales by which outputs fill their range."""

    def __init__(self, seed, dtype, shape, per_channel, floats=False, input_scale=2 / 255):
        self.random = np.random.default_rng(seed)
        self.dtype, self.per_channel = dtype, per_channel
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.graph.tensors, self.graph.operators = [], []
        self.low = 0 if dtype == np.uint8 else -128
        count = np.arange(np.prod(shape), dtype=np.uint64)
        x = ((count * 2654435761) % 2**32 >> 24).astype(np.int64).reshape(shape) + self.low
        self.scale, self.zero = F32(input_scale), self.low + 128
        if floats:
            self.current = self.tensor(shape, np.float32)
            self.graph.inputs = [self.current]
            self.x = self.low + 128 + np.zeros(shape, np.int64)
            self.operator(114, 1, [], self.activation(shape))
        else:
            self.current = self.activation(shape)
            self.graph.inputs = [self.current]
        self.x = x

    def tensor(self, shape, dtype, scale=None, zero=None, data=None, axis=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), TYPES[dtype], 0
        tensor.name = b"t%d" % len(self.graph.tensors)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(s) for s in np.atleast_1d(scale)]
            zeros = np.broadcast_to(0 if zero is None else zero, len(tensor.quantization.scale))
            tensor.quantization.zeroPoint = [int(z) for z in zeros]
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def activation(self, shape, dtype=None):
        return self.tensor(shape, dtype or self.dtype, self.scale, self.zero)

    def operator(self, code, version, constants, output, kind=0, options=None):
        operator, listed = schema.OperatorT(), schema.OperatorCodeT()
        listed.builtinCode = listed.deprecatedBuiltinCode = code
        listed.version = version
        operator.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(listed)
        operator.inputs, operator.outputs = [self.current] + constants, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        self.current = output

    def weights(self, shape, axis, channels, extreme):
        """Weights and their effective values."""
        if self.dtype == np.uint8:
            zero = int(self.random.choice([0, 255])) if extreme else int(self.random.integers(90, 166))
            if extreme:
                values = self.random.integers(0, 256, shape)
            else:
                values = np.clip(np.rint(self.random.normal(zero, 12, shape)), 1, 255)
            scale = F32(self.random.uniform(0.005, 0.02))
            index = self.tensor(shape, np.uint8, scale, zero, values.astype(np.uint8))
            return index, values.astype(np.int64) - zero, np.full(1, scale), 1
        values = self.random.integers(-127, 128, shape)
        count = channels if self.per_channel else 1
        scale = self.random.uniform(0.002, 0.02, count).astype(F32)
        index = self.tensor(shape, np.int8, scale, 0, values.astype(np.int8), axis if count > 1 else 0)
        return index, values, scale, count

    def convolution(self, out, kernel=1, stride=1, dilation=1, padding=SAME, activation=RELU6,
                    depthwise=False, dense=False, extreme=False):
        _, height, width, channels = self.x.shape
        if depthwise:
            multiplier, out = out, out * channels
            index, w, scale, count = self.weights((1, kernel, kernel, out), 3, out, extreme)
        elif dense:
            index, w, scale, count = self.weights((out, channels), 0, out, extreme)
            w = w.reshape(out, 1, 1, channels)
        else:
            index, w, scale, count = self.weights((out, kernel, kernel, channels), 0, out, extreme)
        # Windows of the input without its zero point.
        span = (kernel - 1) * dilation + 1
        size = lambda n: -(-n // stride) if padding == SAME else (n - span) // stride + 1
        rows, columns = size(height), size(width)
        pad = lambda n, o: max((o - 1) * stride + span - n, 0) if padding == SAME else 0
        top, left = pad(height, rows) // 2, pad(width, columns) // 2
        x = np.pad(self.x - self.zero, ((0, 0), (top, span * stride), (left, span * stride), (0, 0)))
        acc = 0
        for i in range(kernel):
            for j in range(kernel):
                tap = x[:, i * dilation:, j * dilation:][:, : rows * stride: stride, : columns * stride: stride]
                if depthwise:
                    acc = acc + np.repeat(tap, multiplier, -1) * w[0, i, j]
                else:
                    acc = acc + tap @ w[:, i, j].T
        bias = self.random.integers(-1000, 1000, out).astype(np.int32)
        acc = acc + bias
        biases = self.tensor([out], np.int32, self.scale * scale, 0, bias)
        numbers = acc * (self.scale.astype(np.float64) * scale)
        if activation == NONE:
            spread = 4 * numbers.std()
            self.scale, self.zero = F32(spread / 255), int(self.random.integers(100, 150)) + self.low
        else:
            spread = 6 if activation == RELU6 and numbers.std() > 2 else 2.5 * numbers.std()
            self.scale, self.zero = F32(spread / 255), self.low
        self.x = np.clip(np.rint(numbers / self.scale) + self.zero, self.low, self.low + 255).astype(np.int64)
        output = self.activation([1, out] if dense else [1, rows, columns, out])
        unsigned = self.dtype == np.uint8
        if dense:
            options = schema.FullyConnectedOptionsT()
            code, version, kind = 9, 1 if unsigned else 4, 8
        elif depthwise:
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = multiplier
            code, version, kind = 4, 1 if unsigned else 3, 2
        else:
            options = schema.Conv2DOptionsT()
            code, version, kind = 3, 1 if unsigned else 3, 1
        options.fusedActivationFunction = activation
        if not dense:
            options.padding, options.strideW, options.strideH = padding, stride, stride
            options.dilationWFactor = options.dilationHFactor = dilation
        self.operator(code, version, [index, biases], output, kind, options)

    def pool(self, kernel, stride, padding=VALID):
        options = schema.Pool2DOptionsT()
        options.padding, options.strideW, options.strideH = padding, stride, stride
        options.filterWidth = options.filterHeight = kernel
        _, height, width, channels = self.x.shape
        size = lambda n: -(-n // stride) if padding == SAME else (n - kernel) // stride + 1
        rows, columns = size(height), size(width)
        self.x = np.resize(self.x.mean((1, 2), keepdims=True).astype(np.int64), (1, rows, columns, channels))
        self.operator(1, 2 if self.dtype == np.int8 else 1, [], self.activation(self.x.shape), 5, options)

    def mean(self):
        axes = self.tensor([2], np.int32, data=np.array([1, 2], np.int32))
        options = schema.ReducerOptionsT()
        options.keepDims = True
        self.x = self.x.mean((1, 2), keepdims=True)
        old, zero = self.scale, self.zero
        self.scale = F32((self.x.max() - zero) * old / 250)
        self.x = np.clip(np.rint((self.x - zero) * old / self.scale) + zero, self.low, self.low + 255).astype(np.int64)
        self.operator(40, 2, [axes], self.activation(self.x.shape), 27, options)

    def reshape(self):
        count = self.x.size
        shape = self.tensor([2], np.int32, data=np.array([1, count], np.int32))
        self.x = self.x.reshape(1, 1, 1, count)
        options = schema.ReshapeOptionsT()
        options.newShape = [1, count]
        self.operator(22, 1, [shape], self.activation([1, count]), 17, options)

    def softmax(self, beta=1.0):
        options = schema.SoftmaxOptionsT()
        options.beta = beta
        shape = list(self.graph.tensors[self.current].shape)
        self.scale, self.zero = F32(1 / 256), self.low
        self.operator(25, 2 if self.dtype == np.int8 else 1, [], self.activation(shape), 9, options)

    def dequantize(self):
        shape = list(self.graph.tensors[self.current].shape)
        self.operator(6, 2, [], self.tensor(shape, np.float32))

    def bytes(self):
        self.graph.outputs = [self.current]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def signed_per_channel():
    file = File(1, np.int8, (1, 33, 29, 3), per_channel=True)
    file.convolution(5, kernel=3, stride=2)
    file.convolution(1, kernel=3, depthwise=True, activation=RELU)
    file.convolution(17)
    file.convolution(1, kernel=3, stride=2, depthwise=True)
    file.convolution(35, activation=NONE)
    file.convolution(1, kernel=3, dilation=2, depthwise=True, activation=NONE)
    file.convolution(70, activation=RELU)
    file.convolution(9, kernel=3, padding=VALID)
    file.mean()
    file.convolution(13, activation=NONE)
    file.reshape()
    file.softmax()
    return file.bytes()


def signed_per_tensor():
    file = File(2, np.int8, (1, 20, 21, 1), per_channel=False, input_scale=1 / 255)
    file.convolution(6, kernel=5, stride=2)
    file.convolution(2, kernel=3, depthwise=True)
    file.convolution(24)
    file.convolution(3, kernel=3, stride=2, depthwise=True)
    file.convolution(40, stride=2)
    file.pool(3, 1, SAME)
    file.pool(2, 2)
    file.reshape()
    file.convolution(11, dense=True, activation=NONE)
    file.softmax(0.5)
    return file.bytes()


def signed_dense_per_channel():
    file = File(3, np.int8, (1, 9, 9, 3), per_channel=True)
    file.convolution(8, kernel=3, stride=1)
    file.convolution(1, kernel=3, stride=2, depthwise=True)
    file.pool(5, 5)
    file.reshape()
    file.convolution(7, dense=True, activation=NONE)
    return file.bytes()


def unsigned():
    file = File(4, np.uint8, (1, 25, 32, 3), per_channel=False, input_scale=1 / 128)
    file.convolution(7, kernel=3, stride=2)
    file.convolution(1, kernel=3, depthwise=True)
    file.convolution(37, extreme=True)
    file.convolution(1, kernel=3, stride=2, depthwise=True, extreme=True)
    file.convolution(66, extreme=True, activation=NONE)
    file.convolution(1, kernel=3, stride=1, depthwise=True, activation=RELU)
    file.convolution(30, activation=RELU)
    file.pool(7, 2)
    file.convolution(19, activation=NONE)
    file.reshape()
    file.softmax()
    return file.bytes()


def numbers():
    file = File(5, np.int8, (1, 16, 16, 3), per_channel=True, floats=True)
    file.convolution(8, kernel=3, stride=2)
    file.convolution(1, kernel=3, depthwise=True)
    file.convolution(16)
    file.mean()
    file.convolution(10, activation=NONE)
    file.reshape()
    file.softmax()
    file.dequantize()
    return file.bytes()


def main():
    files = [signed_per_channel, signed_per_tensor, signed_dense_per_channel, unsigned, numbers]
    with zipfile.ZipFile(FOLDER / "integer_files.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"{file.__name__}.tflite", (2026, 1, 1, 0, 0, 0))
            archive.writestr(entry, file(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
