"""Serves one engine on a network of 8-bit integers: `integer_peer.py ENGINE FOLDER THREADS`.

`report` wrote the network to the folder as TFLite, as ONNX (nodes that quantise and dequantise) and
as safetensors, and the image as the bytes of its integers, rows x columns x channels. Logits are
the numbers that the engine's integers mean.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from serve import serve


def pixels(folder):
    """The image's integers, `[1, rows, columns, 3]`, and what they mean: scale and zero point."""
    image = json.loads((folder / "image.json").read_text())
    values = np.fromfile(folder / "image.bin", np.dtype(image["type"]))
    return values.reshape(1, image["rows"], image["columns"], 3), image["scale"], image["zero_point"]


def numbers(folder):
    """The image as numbers, `[1, 3, rows, columns]`."""
    values, scale, zero_point = pixels(folder)
    image = (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))


def litert(folder, threads, scratch):
    from ai_edge_litert.interpreter import Interpreter

    def load():
        interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        target = interpreter.get_output_details()[0]
        scale, zero_point = target["quantization"]

        def run(images):
            interpreter.set_tensor(source, images)
            interpreter.invoke()
            integers = interpreter.get_tensor(target["index"]).astype(np.float32)
            return (integers - np.float32(zero_point)) * np.float32(scale)

        return run

    return "ai-edge-litert", load, pixels(folder)[0]


def litert_detector(folder, threads, scratch):
    from ai_edge_litert.interpreter import Interpreter

    def load():
        interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        # Boxes, classes, scores and their number.
        targets = [target["index"] for target in interpreter.get_output_details()[:3]]

        def run(images):
            interpreter.set_tensor(source, images)
            interpreter.invoke()
            return [interpreter.get_tensor(target) for target in targets]

        return run

    return "ai-edge-litert", load, pixels(folder)[0]


def session(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    [source] = session.get_inputs()
    return lambda images: session.run(None, {source.name: images})[0]


def onnxruntime_nodes(folder, threads, scratch):
    return "onnxruntime", lambda: session(folder / "model.onnx", threads), numbers(folder)


def onnxruntime_operators(folder, threads, scratch):
    import onnxruntime

    # ONNX Runtime itself makes operators on integers of the nodes.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    path = os.path.join(scratch, "operators.onnx")
    options.optimized_model_filepath = path
    onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return "onnxruntime", lambda: session(path, threads), numbers(folder)


def openvino(folder, threads, scratch):
    import openvino

    def load():
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(folder / "model.onnx", "CPU", settings)
        request = compiled.create_infer_request()
        return lambda images: request.infer([images], share_inputs=True, share_outputs=True)[0]

    return "openvino", load, numbers(folder)


def pytorch(folder, threads, scratch):
    """PyTorch's quantised operators: unsigned activations, signed weights."""
    import torch

    torch.set_num_threads(threads)
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    kinds = {"I8": np.int8, "U8": np.uint8, "I32": np.int32, "F32": np.float32}

    def tensor(name):
        entry = header[name]
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        return np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])

    structure = json.loads(header["__metadata__"]["integer_network"])
    scales = tensor("activations.scale")

    def unsigned(values):
        """The zero point of bytes: signed integers plus 128."""
        [(kind, zero_point)] = values.items()
        return zero_point + (128 if kind == "i8" else 0)

    def load():
        steps = []
        meaning = (float(scales[0]), unsigned(structure["input"]))
        first = meaning
        channels = 3
        for layer, scale in zip(structure["layers"], scales[1:]):
            output = (float(scale), unsigned(layer["output"]))
            operation = layer["operation"]
            if "convolution" in operation:
                convolution = operation["convolution"]
                weight, name = tensor(layer["name"] + ".weight"), layer["name"] + ".weight"
                weight_scales, zeros = tensor(name + ".scale"), tensor(name + ".zero_point")
                offset = 128 if weight.dtype == np.uint8 else 0
                signed = (weight.astype(np.int32) - offset).astype(np.int8)
                real = torch.from_numpy(signed.astype(np.float32) - (zeros.reshape(-1, 1, 1, 1).astype(np.float32) - offset))
                real = real * torch.from_numpy(weight_scales.reshape(-1, 1, 1, 1).copy())
                if weight_scales.size == 1:
                    packed = torch.quantize_per_tensor(real, float(weight_scales[0]), int(zeros.ravel()[0]) - offset, torch.qint8)
                else:
                    packed = torch.quantize_per_channel(
                        real, torch.from_numpy(weight_scales.astype(np.float64)), torch.zeros(len(weight_scales), dtype=torch.int64), 0, torch.qint8
                    )
                bias = tensor(layer["name"] + ".bias") * weight_scales.astype(np.float64) * meaning[0]
                window = convolution["window"]
                groups = channels if convolution["depthwise"] else 1
                channels = weight.shape[0]
                same = window["padding"] == "same"
                relu = convolution["activation"] != "none"
                pads = [0, 0, 0, 0] if same else window["padding"]["explicit"]
                even = not same and pads[0] == pads[1] and pads[2] == pads[3]
                prepacked = torch.ops.quantized.conv2d_prepack(
                    packed,
                    torch.from_numpy(bias.astype(np.float32)),
                    [window["stride"]] * 2,
                    [pads[0], pads[2]] if even else [0, 0],
                    [window["dilation"]] * 2,
                    groups,
                )
                call = torch.ops.quantized.conv2d_relu if relu else torch.ops.quantized.conv2d
                steps.append((call, prepacked, output, None if even else (window, pads if not same else None)))
            else:
                steps.append((None, None, output, None))
            meaning = output

        def padded(xs, window, pads):
            if pads is None:
                pads = []
                for side, kernel in zip(xs.shape[2:], window["kernel"]):
                    reach = (-(-side // window["stride"]) - 1) * window["stride"] + kernel
                    total = max(reach - side, 0)
                    pads += [total // 2, total - total // 2]
            top, bottom, left, right = pads
            if not any(pads):
                return xs
            # The constant is the zero point.
            return torch.nn.functional.pad(xs, (left, right, top, bottom), value=0.0)

        def run(images):
            with torch.inference_mode():
                xs = torch._make_per_tensor_quantized_tensor(torch.from_numpy(images), *first)
                xs = xs.contiguous(memory_format=torch.channels_last)
                for call, prepacked, output, window in steps:
                    if call is None:
                        xs = torch.nn.functional.adaptive_avg_pool2d(xs, 1)
                    else:
                        xs = padded(xs, *window) if window else xs
                        xs = call(xs, prepacked, *output)
                return xs.dequantize().flatten().numpy()

        return run

    values = pixels(folder)[0]
    bytes = (values.astype(np.int32) + (128 if values.dtype == np.int8 else 0)).astype(np.uint8)
    return "torch", load, np.ascontiguousarray(bytes.transpose(0, 3, 1, 2))


ENGINES = {
    "litert": litert,
    "litert-detector": litert_detector,
    "onnxruntime-nodes": onnxruntime_nodes,
    "onnxruntime-operators": onnxruntime_operators,
    "openvino": openvino,
    "pytorch": pytorch,
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        package, load, images = ENGINES[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), scratch)
        serve(package, load, images)
