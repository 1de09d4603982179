"""The network in ncnn's own format: a text of layers and a file of weights."""

import struct

import numpy as np

RAW_F32 = struct.pack("<I", 0)


def build(network, param_path, bin_path):
    lines = ["Input image 0 1 image"]
    with open(bin_path, "wb") as weights:
        current = "image"
        for layer in network.layers:
            top, left, bottom, right = layer.padding
            outputs, _, rows, columns = layer.weight.shape
            kind = "ConvolutionDepthWise" if layer.depthwise else "Convolution"
            parameters = {
                0: outputs, 1: columns, 11: rows, 3: layer.stride, 4: left, 14: top, 15: right,
                16: bottom, 5: 1, 6: layer.weight.size, 9: 3,
            }
            if layer.depthwise:
                parameters[7] = outputs
            text = " ".join(f"{key}={value}" for key, value in parameters.items())
            # Activation 3 is clip; -23310 is its array of two bounds.
            lines.append(f"{kind} {layer.name} 1 1 {current} {layer.name} {text} -23310=2,0.0,6.0")
            weights.write(RAW_F32 + np.ascontiguousarray(layer.weight).tobytes() + layer.bias.tobytes())
            current = layer.name
        lines.append(f"Pooling pooled 1 1 {current} pooled 0=1 4=1")
        size = network.logits_weight.size
        lines.append(f"InnerProduct logits 1 1 pooled logits 0={network.logits_bias.size} 1=1 2={size}")
        weights.write(RAW_F32 + network.logits_weight.tobytes() + network.logits_bias.tobytes())
    with open(param_path, "w") as param:
        param.write(f"7767517\n{len(lines)} {len(lines)}\n" + "\n".join(lines) + "\n")
