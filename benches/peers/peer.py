"""One engine: `peer.py ENGINE FOLDER BATCH THREADS`. See README.md for the protocol."""

import os
import sys
import tempfile

import numpy as np

from network import Network
from serve import serve


def onnxruntime(network, batch, threads, folder):
    import onnxruntime

    import onnx_model

    model = onnx_model.build(network, batch).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1

    def load():
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"image": images})

    return load, True, "onnxruntime"


def openvino(network, batch, threads, folder):
    import onnx
    import openvino

    import onnx_model

    path = os.path.join(folder, "model.onnx")
    onnx.save(onnx_model.build(network, batch), path)

    def load():
        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        request = core.compile_model(path, "CPU", settings).create_infer_request()
        return lambda images: request.infer([images], share_inputs=True, share_outputs=True)[0]

    return load, True, "openvino"


def litert(network, batch, threads, folder):
    from ai_edge_litert.interpreter import Interpreter

    import tflite_model

    model = tflite_model.build(network, batch)

    def load():
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        targets = [target["index"] for target in interpreter.get_output_details()]

        def run(images):
            interpreter.set_tensor(source, images)
            interpreter.invoke()
            return [interpreter.get_tensor(target) for target in targets]

        return run

    return load, False, "ai-edge-litert"


def ncnn(network, batch, threads, folder):
    import ncnn

    import ncnn_model

    param, weights = os.path.join(folder, "model.param"), os.path.join(folder, "model.bin")
    ncnn_model.build(network, param, weights)

    def load():
        net = ncnn.Net()
        net.opt.num_threads = threads
        # f32 throughout, like all others.
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        net.load_param(param)
        net.load_model(weights)

        def run(images):
            results = []
            for image in images:
                extractor = net.create_extractor()
                extractor.input("image", ncnn.Mat(image))
                results.append(np.array(extractor.extract("logits")[1]))
            return np.stack(results)

        return run

    return load, True, "ncnn"


def pytorch(network, batch, threads, folder):
    import torch

    torch.set_num_threads(threads)

    def load():
        layers = []
        for layer in network.layers:
            top, left, bottom, right = layer.padding
            layers.append((
                torch.from_numpy(layer.weight.copy()).contiguous(memory_format=torch.channels_last),
                torch.from_numpy(layer.bias.copy()),
                layer.stride,
                (left, right, top, bottom),
                layer.weight.shape[0] if layer.depthwise else 1,
            ))
        weight = torch.from_numpy(network.logits_weight.copy())
        bias = torch.from_numpy(network.logits_bias.copy())

        class Module(torch.nn.Module):
            def forward(self, xs):
                for w, b, stride, (left, right, top, bottom), groups in layers:
                    if left == right and top == bottom:
                        padding = (top, left)
                    else:
                        xs, padding = torch.nn.functional.pad(xs, (left, right, top, bottom)), 0
                    xs = torch.nn.functional.conv2d(xs, w, b, stride, padding, 1, groups)
                    xs = torch.nn.functional.hardtanh(xs, 0.0, 6.0)
                return torch.nn.functional.linear(xs.mean((2, 3)), weight, bias)

        example = torch.from_numpy(network.batch(batch, True)).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            module = torch.jit.freeze(torch.jit.trace(Module().eval(), example))
            module = torch.jit.optimize_for_inference(module)

        def run(images):
            with torch.inference_mode():
                xs = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
                return module(xs).numpy()

        return run

    return load, True, "torch"


ENGINES = {"onnxruntime": onnxruntime, "openvino": openvino, "litert": litert, "ncnn": ncnn, "pytorch": pytorch}


def main():
    engine, folder, batch, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    network = Network(folder)
    with tempfile.TemporaryDirectory() as scratch:
        load, channels_first, package = ENGINES[engine](network, batch, threads, scratch)
        serve(package, load, network.batch(batch, channels_first))


if __name__ == "__main__":
    main()
