"""Golden values of detection, by LiteRT (ai-edge-litert 2.x, numpy, Pillow, safetensors).

    python ssd.py made                  postprocess.safetensors: the operator on made boxes
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
    else:
        real(sys.argv[2], sys.argv[3:])
