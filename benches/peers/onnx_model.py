"""The network as ONNX: Conv, Clip, GlobalAveragePool, Flatten, Gemm; or a detector's
predictors, joined."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from network import Network


def build(network, batch):
    nodes, initializers = [], []

    def constant(name, values):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    low, high = constant("low", np.float32(0)), constant("high", np.float32(6))

    def convolution(layer, source, target):
        inputs = [
            source,
            constant(f"{layer.name}.weight", layer.weight),
            constant(f"{layer.name}.bias", layer.bias),
        ]
        nodes.append(
            helper.make_node(
                "Conv",
                inputs,
                [target],
                group=layer.weight.shape[0] if layer.depthwise else 1,
                kernel_shape=list(layer.weight.shape[2:]),
                strides=[layer.stride] * 2,
                pads=layer.padding,
            )
        )

    current = "image"
    for layer in network.layers:
        convolution(layer, current, f"{layer.name}.sum")
        nodes.append(helper.make_node("Clip", [f"{layer.name}.sum", low, high], [layer.name]))
        current = layer.name
    outputs = []
    if network.predictors:
        for part, predictors, values in network.joined():
            for layer in predictors:
                convolution(layer, network.layers[layer.reads].name, f"{layer.name}.planes")
                nodes.append(helper.make_node("Transpose", [f"{layer.name}.planes"], [f"{layer.name}.cells"], perm=[0, 2, 3, 1]))
                shape = numpy_helper.from_array(np.array([batch, -1, values]), f"{layer.name}.shape")
                initializers.append(shape)
                nodes.append(helper.make_node("Reshape", [f"{layer.name}.cells", shape.name], [layer.name]))
            joined = part if part == "boxes" else "logits"
            nodes.append(helper.make_node("Concat", [layer.name for layer in predictors], [joined], axis=1))
            outputs.append(helper.make_tensor_value_info(part, TensorProto.FLOAT, [batch, None, values]))
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["scores"]))
    else:
        nodes.append(helper.make_node("GlobalAveragePool", [current], ["pooled"]))
        nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
        weight = constant("logits.weight", network.logits_weight)
        bias = constant("logits.bias", network.logits_bias)
        nodes.append(helper.make_node("Gemm", ["features", weight, bias], ["logits"], transB=1))
        classes = network.logits_bias.shape[0]
        outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes]))
    image = helper.make_tensor_value_info(
        "image", TensorProto.FLOAT, [batch, 3, network.height, network.width]
    )
    graph = helper.make_graph(nodes, "mobilenet_v1", [image], outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


if __name__ == "__main__":
    folder, batch, output = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    onnx.save(build(Network(folder), batch), output)
