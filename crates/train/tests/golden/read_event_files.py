"""Prints what TensorBoard reads from a folder of event files, as JSON: {tag: [[step, value]]}."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

accumulator = EventAccumulator(sys.argv[1], size_guidance={"tensors": 0, "scalars": 0})
accumulator.Reload()
# Reading turns the scalars of old files into tensors.
content = {
    tag: [[event.step, float(event.tensor_proto.float_val[0])] for event in accumulator.Tensors(tag)]
    for tag in accumulator.Tags()["tensors"]
}
content |= {
    tag: [[event.step, event.value] for event in accumulator.Scalars(tag)]
    for tag in accumulator.Tags()["scalars"]
}
print(json.dumps(content))
