"""Golden values of detection, by LiteRT (ai-edge-litert 2.x, numpy, Pillow, safetensors).

    python ssd.py made                  postprocess.safetensors: the operator on made boxes
    python ssd.py tiny                  tiny_ssd.tflite: a detector of random weights with two maps, and
                                        what it computes in tiny_ssd.safetensors; in numbers in
                                        tiny_ssd_float.tflite and .safetensors
    python ssd.py real MODEL PHOTO...   ssd_mobilenet_v1.jsonl: hashes of the tensors and the boxes of
                                        a real network (TensorFlow Hub's ssd_mobilenet_v1, 4,183,312 bytes)
"""

import hashlib
import json
import os
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from flatbuffers import flexbuffers

HERE = os.path.dirname(os.path.abspath(__file__))
OPERATOR = "TFLite_Detection_PostProcess"
COMMON = {
    "max_detections": 10,
    "max_classes_per_detection": 1,
    "nms_score_threshold": 1e-8,
    "nms_iou_threshold": 0.6,
    "num_classes": 6,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}
# Options, and whether scores are rounded so that many are equal. The order of a box's classes with
# equal scores is not defined, so it is not asked for.
SETS = {
    "fast": ({}, True),
    "fast_100": ({"max_detections": 100}, True),
    "fast_classes": ({"max_classes_per_detection": 3, "max_detections": 20, "nms_score_threshold": 0.3}, False),
    "fast_overlap": ({"nms_iou_threshold": 0.3, "nms_score_threshold": 0.5, "max_detections": 50}, True),
    "fast_no_background": ({"num_classes": 7}, True),
    "regular": ({"use_regular_nms": True}, True),
    "regular_100": ({"use_regular_nms": True, "nms_score_threshold": 0.2, "max_detections": 100}, False),
    "regular_few": (
        {
            "use_regular_nms": True,
            "nms_score_threshold": 0.05,
            "nms_iou_threshold": 0.4,
            "detections_per_class": 3,
            "max_detections": 40,
        },
        True,
    ),
}


def model(anchors, columns, options):
    """A file with the operator alone."""

    def tensor(name, shape, buffer):
        one = schema.TensorT()
        one.name, one.shape, one.type, one.buffer = name, shape, schema.TensorType.FLOAT32, buffer
        return one

    count = len(anchors)
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("boxes", [1, count, 4], 0),
        tensor("scores", [1, count, columns], 0),
        tensor("anchors", [count, 4], 1),
    ] + [tensor(name, [], 0) for name in ("out_boxes", "out_classes", "out_scores", "out_count")]
    graph.inputs, graph.outputs = [0, 1], [3, 4, 5, 6]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3, 4, 5, 6]
    operator.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)
    graph.operators = [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = OPERATOR, 1
    empty, data = schema.BufferT(), schema.BufferT()
    data.data = np.frombuffer(anchors.tobytes(), np.uint8)
    whole = schema.ModelT()
    whole.version, whole.subgraphs, whole.operatorCodes = 3, [graph], [code]
    whole.buffers = [empty, data]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def made():
    from safetensors.numpy import save_file

    random = np.random.default_rng(17)
    count, columns = 300, 7
    grid = random.random((count, 2))
    sizes = 0.05 + 0.4 * random.random((count, 2))
    anchors = np.concatenate([grid, sizes], 1).astype(np.float32)
    encodings = random.normal(0, 1.5, (count, 4)).astype(np.float32)
    # Boxes without an area: exp underflows.
    encodings[5, 2] = encodings[6, 3] = -800
    fine = random.random((count, columns)).astype(np.float32)
    coarse = np.round(fine * 32).astype(np.float32) / 32
    saved = {"anchors": anchors, "encodings": encodings, "scores_fine": fine, "scores_coarse": coarse}
    for name, (changes, ties) in SETS.items():
        options = {**COMMON, **changes}
        content = model(anchors, columns, options)
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        boxes, scores = [detail["index"] for detail in interpreter.get_input_details()]
        interpreter.set_tensor(boxes, encodings[None])
        interpreter.set_tensor(scores, (coarse if ties else fine)[None])
        interpreter.invoke()
        found = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
        number = int(found[3][0]) * options["max_classes_per_detection"]
        saved[name + ".boxes"] = found[0][0, :number].copy()
        saved[name + ".classes"] = found[1][0, :number].copy()
        saved[name + ".scores"] = found[2][0, :number].copy()
        saved[name + ".options"] = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8).copy()
        print(name, number)
    save_file(saved, os.path.join(HERE, "postprocess.safetensors"))


# A seed for which the two roundings differ.
SEED = 7
TINY = {"side": 20, "classes": 5, "boxes": 2}


def tiny(floats):
    """A whole detector, in integers or in numbers; then the weights of one layer have 16 bits."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(SEED)
    whole = schema.ModelT()
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    whole.buffers, whole.operatorCodes = [schema.BufferT()], []
    codes = {}

    def buffer(array):
        one = schema.BufferT()
        one.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        whole.buffers.append(one)
        return len(whole.buffers) - 1

    def tensor(name, shape, kind, scale=None, zero=0, data=None):
        if floats and scale is not None:
            if data is not None:
                data = (data.astype(np.float32) - zero) * np.float32(scale)
            kind, scale = schema.TensorType.FLOAT32, None
        one = schema.TensorT()
        one.name, one.shape, one.type = name, list(shape), kind
        one.buffer = 0 if data is None else buffer(data)
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [scale], [zero]
            one.quantization = quantization
        graph.tensors.append(one)
        return len(graph.tensors) - 1

    def operator(builtin, inputs, outputs, options=None, options_type=0, custom=None):
        key = custom or builtin
        if key not in codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = builtin
            code.customCode, code.version = (OPERATOR if custom else None), 1
            codes[key] = len(whole.operatorCodes)
            whole.operatorCodes.append(code)
        one = schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = codes[key], inputs, outputs
        one.builtinOptions, one.builtinOptionsType = options, options_type
        graph.operators.append(one)
        return one

    def shape(index):
        return graph.tensors[index].shape

    def scale(index):
        return np.float32(1 if floats else graph.tensors[index].quantization.scale[0])

    def zero_point(index):
        return 0 if floats else graph.tensors[index].quantization.zeroPoint[0]

    def convolution(name, source, out, side, stride, depthwise=False, scale_out=6 / 255, zero=0):
        _, rows, columns, channels = shape(source)
        kernel = [1, side, side, channels] if depthwise else [out, side, side, channels]
        weights = tensor(
            name + "/weights", kernel, schema.TensorType.UINT8, 0.02, 120,
            random.integers(0, 256, kernel, np.uint8),
        )
        if floats and name == "extra/Relu6":
            half = graph.tensors[weights]
            half.type = schema.TensorType.FLOAT16
            values = np.frombuffer(bytes(whole.buffers[half.buffer].data), np.float32)
            half.buffer = buffer(values.astype(np.float16))
            weights = tensor(name + "/weights/numbers", kernel, schema.TensorType.FLOAT32)
            operator(schema.BuiltinOperator.DEQUANTIZE, [len(graph.tensors) - 2], [weights])
        unit = 1e-4 if floats else float(scale(source) * np.float32(0.02))
        bias = tensor(
            name + "/bias", [out], schema.TensorType.INT32, unit, 0,
            random.integers(-2000, 2000, out).astype(np.int32),
        )
        size = [1, -(-rows // stride), -(-columns // stride), out]
        output = tensor(name, size, schema.TensorType.UINT8, scale_out, zero)
        if depthwise:
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
            kind = (schema.BuiltinOperator.DEPTHWISE_CONV_2D, schema.BuiltinOptions.DepthwiseConv2DOptions)
        else:
            options = schema.Conv2DOptionsT()
            kind = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions)
        if floats and name.endswith("Relu6"):
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        operator(kind[0], [source, weights, bias], [output], options, kind[1])
        return output

    def reshape(name, source, size):
        output = tensor(
            name, size, schema.TensorType.UINT8, float(scale(source)), zero_point(source)
        )
        sizes = tensor(name + "/shape", [len(size)], schema.TensorType.INT32, data=np.array(size, np.int32))
        options = schema.ReshapeOptionsT()
        options.newShape = size
        operator(schema.BuiltinOperator.RESHAPE, [source, sizes], [output], options, schema.BuiltinOptions.ReshapeOptions)
        return output

    side, classes, boxes = TINY["side"], TINY["classes"], TINY["boxes"]
    image = tensor("image", [1, side, side, 3], schema.TensorType.UINT8, 1 / 128, 128)
    stem = convolution("stem/Relu6", image, 8, 3, 2)
    depthwise = convolution("depthwise/Relu6", stem, 8, 3, 1, depthwise=True)
    first = convolution("pointwise/Relu6", depthwise, 16, 1, 1)
    # Read by a 3x3 window, so that it has a border inside the program, and by predictors.
    second = convolution("extra/Relu6", first, 24, 3, 2)
    parts = {4: [], classes + 1: []}
    for number, source in enumerate((first, second)):
        for values, name in ((4, "BoxEncodingPredictor"), (classes + 1, "ClassPredictor")):
            head = convolution(
                f"BoxPredictor_{number}/{name}", source, boxes * values, 1, 1, scale_out=0.05 + 0.01 * number, zero=120
            )
            cells = shape(head)[1] * shape(head)[2] * boxes
            parts[values].append(reshape(f"BoxPredictor_{number}/{name}/Reshape", head, [1, cells, values]))
    joined = []
    for values, sources in parts.items():
        count = sum(shape(source)[1] for source in sources)
        output = tensor(f"concat_{values}", [1, count, values], schema.TensorType.UINT8, 0.055, 122)
        options = schema.ConcatenationOptionsT()
        options.axis = 1
        operator(
            schema.BuiltinOperator.CONCATENATION, sources, [output], options, schema.BuiltinOptions.ConcatenationOptions
        )
        joined.append(output)
    scores = tensor("scores", shape(joined[1]), schema.TensorType.UINT8, 1 / 256, 0)
    operator(schema.BuiltinOperator.LOGISTIC, [joined[1]], [scores])
    count = shape(scores)[1]
    centres = random.random((count, 2))
    anchors = np.concatenate([centres, 0.2 + 0.3 * random.random((count, 2))], 1).astype(np.float32)
    constant = tensor("anchors", [count, 4], schema.TensorType.FLOAT32, data=anchors)
    outputs = [tensor(name, [], schema.TensorType.FLOAT32) for name in ("boxes", "classes", "best", "count")]
    # The operator takes numbers where its anchors are numbers.
    numbers = []
    for source in (joined[0], scores):
        if floats:
            numbers.append(source)
            continue
        numbers.append(tensor(graph.tensors[source].name + "/numbers", shape(source), schema.TensorType.FLOAT32))
        operator(schema.BuiltinOperator.DEQUANTIZE, [source], [numbers[-1]])
    last = operator(schema.BuiltinOperator.CUSTOM, numbers + [constant], outputs, custom=OPERATOR)
    options = {**COMMON, "num_classes": classes, "nms_score_threshold": 0.3, "max_detections": 20}
    last.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)
    graph.inputs, graph.outputs = [image], outputs
    whole.version, whole.subgraphs = 3, [graph]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(whole.Pack(builder), b"TFL3")
    content = bytes(builder.Output())
    name = "tiny_ssd_float" if floats else "tiny_ssd"
    with open(os.path.join(HERE, name + ".tflite"), "wb") as file:
        file.write(content)
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    saved = {"image": pixels}
    output = os.path.join(HERE, name + ".safetensors")
    for name, resolver in (
        ("reference", OpResolverType.BUILTIN_REF),
        ("optimized", OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES),
    ):
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=resolver,
        )
        interpreter.allocate_tensors()
        image = (pixels.astype(np.float32) - 128) / 128 if floats else pixels
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        saved[name + ".encodings"] = interpreter.get_tensor(joined[0])[0].copy()
        saved[name + ".scores"] = interpreter.get_tensor(scores)[0].copy()
        found = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
        number = int(found[3][0])
        saved[name + ".boxes"] = found[0][0, :number].copy()
        saved[name + ".classes"] = found[1][0, :number].copy()
        saved[name + ".best"] = found[2][0, :number].copy()
        print(name, number, "boxes, levels", len(np.unique(saved[name + ".encodings"])), len(np.unique(saved[name + ".scores"])))
    differ = lambda part: int((saved["reference." + part] != saved["optimized." + part]).sum())
    print("roundings differ in", differ("encodings"), "numbers of boxes and", differ("scores"), "scores")
    save_file(saved, output)


def real(path, photos):
    from PIL import Image

    with open(path, "rb") as file:
        whole = schema.ModelT.InitFromPackedBuf(file.read(), 0)
    graph = whole.subgraphs[0]
    wanted = (
        schema.BuiltinOperator.CONV_2D,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D,
        schema.BuiltinOperator.CONCATENATION,
        schema.BuiltinOperator.LOGISTIC,
    )
    code = lambda operator: whole.operatorCodes[operator.opcodeIndex]
    number = lambda operator: max(code(operator).builtinCode, code(operator).deprecatedBuiltinCode)
    operators = [operator for operator in graph.operators if number(operator) in wanted]
    indices = [int(operator.outputs[0]) for operator in operators]
    hashed = lambda array: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]
    golden = {"tensors": [graph.tensors[index].name.decode() for index in indices], "photos": []}
    side = int(graph.tensors[int(graph.inputs[0])].shape[1])
    for photo in photos:
        with Image.open(photo) as image:
            pixels = np.asarray(image.convert("RGB").resize((side, side), Image.BILINEAR))
        entry = {"photo": os.path.basename(photo), "input": hashed(pixels)}
        for name, resolver in (
            ("reference", OpResolverType.BUILTIN_REF),
            ("optimized", OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES),
            ("default", OpResolverType.AUTO),
        ):
            interpreter = Interpreter(
                model_path=path,
                num_threads=1,
                experimental_preserve_all_tensors=name != "default",
                experimental_op_resolver_type=resolver,
            )
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
            interpreter.invoke()
            if name != "default":
                entry[name] = " ".join(hashed(interpreter.get_tensor(index)) for index in indices)
            found = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
            entry[name + "_boxes"] = [
                [int(found[1][0, i]), float(found[2][0, i])] + [float(v) for v in found[0][0, i]]
                for i in range(int(found[3][0]))
            ]
        golden["photos"].append(entry)
    # A line for the names and one for each photo.
    lines = [{"tensors": golden["tensors"]}] + golden["photos"]
    with open(os.path.join(HERE, "ssd_mobilenet_v1.jsonl"), "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    if sys.argv[1] == "made":
        made()
    elif sys.argv[1] == "tiny":
        tiny(False)
        tiny(True)
    else:
        real(sys.argv[2], sys.argv[3:])
