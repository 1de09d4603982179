"""Golden training steps of the whole network: PyTorch in float64, checked against TensorFlow.

TF-slim's conventions: SAME padding, ReLU6, batch norm with epsilon 0.001 that normalises by the
biased variance of the batch, global average pool, no dropout, and L2 of 4e-5 (half the sum of
squares) on the weights of Conv2d_0, the pointwise layers and the logits, not on depthwise ones.

Alpha is 1/32, classes 10, images 4 x 3 x 32 x 48: `input`, but drawn as the formula draws a
convolution's weights of that shape, that is u * sqrt(6 / (3 * 32 * 48)). Weights are those of the
formula, but 1 is added (in f32) to every `batch_norm.bias`. Labels are in the metadata.

Two runs of three steps on this one batch:

    sgd        label smoothing 0      learning rate 0.01, momentum 0.9
    rmsprop    label smoothing 0.1    learning rate 0.045, decay 0.9, momentum 0.9, epsilon 1,
                                      TensorFlow's form

Tensors, with the names and layouts (OIHW) of the weights:

    RUN.gradient.WEIGHT                of cross-entropy and L2 together, before the first step
    RUN.change.WEIGHT                  weight after the third step minus weight before the first
    LAYER.batch_norm.running_mean      after one step in either run; new = 0.9 * old + 0.1 * batch
    LAYER.batch_norm.running_var_biased      the same from the biased variance of the batch
    LAYER.batch_norm.running_var_unbiased    from n / (n - 1) of it, as TensorFlow's fused batch
                                             norm and PyTorch do; n = batch * height * width

Metadata: `labels`; `RUN.cross_entropy`, the first loss without L2; `RUN.losses`, cross-entropy
and L2 before each of the three steps; `RUN.f32_gradients` and `RUN.f32_changes`, how far PyTorch
in f32 is from these values (largest difference relative to the tensor's largest value).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import torch
import torch.nn.functional as F

from formula import FOLDER, TINY_ALPHA, layer_names, network_weights, random_bits, weight, write

torch.set_num_threads(1)
FRAMEWORK = f"torch {torch.__version__.split('+')[0]}, checked against tensorflow {tf.__version__}"
BATCH, HEIGHT, WIDTH, CLASSES = 4, 32, 48, 10
EPSILON, DECAY, WEIGHT_DECAY, STEPS = 1e-3, 0.9, 4e-5, 3
HEAD = "Logits.Conv2d_1c_1x1"
WIDENING = [2, 4, 6, 12]

WEIGHTS = network_weights(TINY_ALPHA, CLASSES)
# With the formula's own offsets the gradients grow tenfold towards the input and steps are
# chaotic: rounding moves values across a clamp, and the change after three steps differs by
# tens of per cent. With larger ones f32 and f64 agree.
for key in WEIGHTS:
    if key.endswith("batch_norm.bias"):
        WEIGHTS[key] += np.float32(1)
PARAMETERS = [name for name in WEIGHTS if "running" not in name]
IMAGES = weight("input", (BATCH, 3, HEIGHT, WIDTH))
LABELS = (random_bits("labels", BATCH) >> np.uint64(40)) % np.uint64(CLASSES)


def stride(name):
    block = int(name.split("_")[1])
    return 2 if block == 0 or (block in WIDENING and name.endswith("depthwise")) else 1


def decayed(name):
    return name.endswith(".weight") and "batch_norm" not in name and "depthwise" not in name


class Torch:
    """NCHW, in either precision."""

    def __init__(self, dtype):
        self.images = torch.from_numpy(IMAGES).to(dtype)
        self.labels = torch.from_numpy(LABELS.astype(np.int64))
        self.parameters = {
            name: torch.from_numpy(WEIGHTS[name]).to(dtype, copy=True).requires_grad_() for name in PARAMETERS
        }

    def losses(self, smoothing):
        """Cross-entropy, its sum with the L2 terms, and each layer's statistics."""
        p, x, statistics = self.parameters, self.images, {}
        for name in layer_names():
            pads = []
            for size in [x.shape[3], x.shape[2]]:
                total = max((-(-size // stride(name)) - 1) * stride(name) + 3 - size, 0)
                pads += [total // 2, total - total // 2]
            kernel = p[f"{name}.weight"]
            if kernel.shape[2] == 3:
                x = F.pad(x, pads)
            x = F.conv2d(x, kernel, stride=stride(name), groups=x.shape[1] if "depthwise" in name else 1)
            mean = x.mean((0, 2, 3))
            centred = x - mean[:, None, None]
            variance = centred.square().mean((0, 2, 3))
            statistics[name] = mean.detach(), variance.detach(), x.numel() // x.shape[1]
            factor = p[f"{name}.batch_norm.weight"] / torch.sqrt(variance + EPSILON)
            x = F.relu6(centred * factor[:, None, None] + p[f"{name}.batch_norm.bias"][:, None, None])
        logits = x.mean((2, 3)) @ p[f"{HEAD}.weight"].flatten(1).T + p[f"{HEAD}.bias"]
        cross_entropy = F.cross_entropy(logits, self.labels, label_smoothing=smoothing)
        l2 = sum(p[name].square().sum() / 2 for name in PARAMETERS if decayed(name))
        return cross_entropy, cross_entropy + WEIGHT_DECAY * l2, statistics

    def gradients(self, smoothing):
        total = self.losses(smoothing)[1]
        found = torch.autograd.grad(total, list(self.parameters.values()))
        return total.item(), dict(zip(PARAMETERS, found, strict=True))


def train(network, smoothing, optimizer):
    """The total loss before each step, and what the steps change in the weights."""
    losses, slots = [], {}
    for _ in range(STEPS):
        loss, gradients = network.gradients(smoothing)
        losses.append(loss)
        with torch.no_grad():
            for name, gradient in gradients.items():
                optimizer(name, network.parameters[name], gradient, slots)
    return losses, changes({name: value.detach().numpy() for name, value in network.parameters.items()})


def changes(weights):
    """The weights themselves would hide errors of the steps: they change by little."""
    return {name: value - WEIGHTS[name] for name, value in weights.items()}


def rmsprop(name, parameter, gradient, slots, rate=0.045, decay=0.9, momentum=0.9, epsilon=1.0):
    """TensorFlow's form: the mean of squares starts at 1, epsilon is inside the root."""
    square, moment = slots.setdefault(name, (torch.ones_like(parameter), torch.zeros_like(parameter)))
    square += (gradient.square() - square) * (1 - decay)
    moment.mul_(momentum).add_(rate * gradient / torch.sqrt(square + epsilon))
    parameter -= moment


def sgd(name, parameter, gradient, slots, rate=0.01, momentum=0.9):
    moment = slots.setdefault(name, torch.zeros_like(parameter))
    moment.mul_(momentum).add_(gradient)
    parameter -= rate * moment


class TensorFlow:
    """NHWC, in float64, with TensorFlow's own SAME padding, gradients and optimisers."""

    def __init__(self):
        self.images = tf.constant(IMAGES.transpose(0, 2, 3, 1), tf.float64)
        self.labels = tf.one_hot(LABELS.astype(np.int64), CLASSES, dtype=tf.float64)
        self.parameters = {name: tf.Variable(WEIGHTS[name], dtype=tf.float64) for name in PARAMETERS}

    def losses(self, smoothing):
        p, x = self.parameters, self.images
        for name in layer_names():
            strides, kernel = [1, stride(name), stride(name), 1], p[f"{name}.weight"]
            if "depthwise" in name:
                x = tf.nn.depthwise_conv2d(x, tf.transpose(kernel, [2, 3, 0, 1]), strides, "SAME")
            else:
                x = tf.nn.conv2d(x, tf.transpose(kernel, [2, 3, 1, 0]), strides, "SAME")
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            scale, offset = p[f"{name}.batch_norm.weight"], p[f"{name}.batch_norm.bias"]
            x = tf.nn.relu6(tf.nn.batch_normalization(x, mean, variance, offset, scale, EPSILON))
        weights = tf.transpose(p[f"{HEAD}.weight"][:, :, 0, 0])
        logits = tf.reduce_mean(x, [1, 2]) @ weights + p[f"{HEAD}.bias"]
        cross_entropy = tf.compat.v1.losses.softmax_cross_entropy(
            self.labels, logits, label_smoothing=smoothing, loss_collection=None
        )
        l2 = tf.add_n([tf.nn.l2_loss(p[name]) for name in PARAMETERS if decayed(name)])
        return tf.cast(cross_entropy, tf.float64) + WEIGHT_DECAY * l2

    def gradients(self, smoothing):
        with tf.GradientTape() as tape:
            total = self.losses(smoothing)
        return total.numpy(), dict(zip(PARAMETERS, tape.gradient(total, list(self.parameters.values())), strict=True))

    def train(self, smoothing, optimizer):
        losses = []
        for _ in range(STEPS):
            loss, gradients = self.gradients(smoothing)
            losses.append(loss)
            optimizer.apply_gradients([(gradients[name], self.parameters[name]) for name in PARAMETERS])
        return losses, changes({name: value.numpy() for name, value in self.parameters.items()})


def compare(what, found, expected, limit):
    """The largest difference of any tensor, relative to that tensor's largest value."""
    differences = {
        name: np.abs(np.asarray(found[name]) - np.asarray(value)).max() / np.abs(np.asarray(value)).max()
        for name, value in expected.items()
    }
    worst = max(differences, key=differences.get)
    print(f"{what}: largest relative difference {differences[worst]:.1e} ({worst})")
    assert differences[worst] <= limit, what
    return f"{differences[worst]:.1e}"


def running_statistics(statistics):
    """After one step; the variance from the batch's biased one, and from the n / (n - 1) one."""
    stored = {}
    for name, (mean, variance, count) in statistics.items():
        variants = {
            "running_mean": ("running_mean", mean),
            "running_var_biased": ("running_var", variance),
            "running_var_unbiased": ("running_var", variance * (count / (count - 1))),
        }
        for key, (part, value) in variants.items():
            old = WEIGHTS[f"{name}.batch_norm.{part}"].astype(np.float64)
            stored[f"{name}.batch_norm.{key}"] = DECAY * old + (1 - DECAY) * value.numpy()
    return stored


def check_fused_variance():
    """TensorFlow's fused batch norm corrects the variance it returns by n / (n - 1)."""
    x = IMAGES.transpose(0, 2, 3, 1)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    _, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, ones, zeros, epsilon=EPSILON)
    corrected = x.astype(np.float64).var((0, 1, 2), ddof=1)
    assert np.allclose(variance, corrected, rtol=2e-6) and np.allclose(mean, x.mean((0, 1, 2)), atol=1e-6)
    assert not np.allclose(variance, x.astype(np.float64).var((0, 1, 2)), rtol=1e-4)


def main():
    check_fused_variance()
    tensors = {}
    metadata = {"framework": FRAMEWORK, "labels": ",".join(str(label) for label in LABELS)}
    v1 = tf.compat.v1.train
    for smoothing, name, ours, theirs in [
        (0.0, "sgd", sgd, v1.MomentumOptimizer(0.01, 0.9)),
        (0.1, "rmsprop", rmsprop, v1.RMSPropOptimizer(0.045, decay=0.9, momentum=0.9, epsilon=1.0)),
    ]:
        network = Torch(torch.float64)
        cross_entropy, _, statistics = network.losses(smoothing)
        metadata[f"{name}.cross_entropy"] = repr(cross_entropy.item())
        _, gradients = network.gradients(smoothing)
        compare(f"{name}: gradients, TensorFlow", TensorFlow().gradients(smoothing)[1], gradients, 1e-9)
        single = Torch(torch.float32).gradients(smoothing)[1]
        metadata[f"{name}.f32_gradients"] = compare(f"{name}: gradients in f32", single, gradients, 2e-4)

        losses, changed = train(network, smoothing, ours)
        their_losses, theirs_changed = TensorFlow().train(smoothing, theirs)
        # Its optimisers round the learning rate and the decays to f32.
        compare(f"{name}: changes, TensorFlow", theirs_changed, changed, 1e-5)
        assert np.allclose(losses, their_losses, rtol=1e-6)
        _, single = train(Torch(torch.float32), smoothing, ours)
        metadata[f"{name}.f32_changes"] = compare(f"{name}: changes in f32", single, changed, 1e-3)
        metadata[f"{name}.losses"] = ",".join(repr(loss) for loss in losses)
        print(f"{name}: losses {losses}")
        assert losses == sorted(losses, reverse=True)

        tensors |= {f"{name}.gradient.{key}": value.numpy() for key, value in gradients.items()}
        tensors |= {f"{name}.change.{key}": value for key, value in changed.items()}
    tensors |= running_statistics(statistics)
    assert all(np.abs(value).max() > 0 for value in tensors.values())
    write("training_step.safetensors", {key: value.astype(np.float32) for key, value in tensors.items()}, metadata)
    print(f"{(FOLDER / 'training_step.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    main()
