"""optimizers_tensorflow.json: TensorFlow's optimisers, clipping, averages and schedules."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf

from formula import numbers, write
from optimizer_inputs import DECAYED, RATES, STEPS, VALUES, WEIGHT_DECAY, content, gradients, weights

v1 = tf.compat.v1.train


def steps(make):
    """Weights after each step of a TF1 optimiser; L2 is part of the loss, as in slim."""
    rows = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rate = tf.compat.v1.placeholder(tf.float32, [])
        gradient = tf.compat.v1.placeholder(tf.float32, [VALUES])
        variable = tf.compat.v1.get_variable("w", initializer=weights, use_resource=True)
        loss = tf.reduce_sum(variable * gradient)
        loss += WEIGHT_DECAY * tf.nn.l2_loss(variable[:DECAYED])
        train = make(rate).minimize(loss)
        session.run(tf.compat.v1.global_variables_initializer())
        for step in range(STEPS):
            session.run(train, {rate: RATES[step], gradient: gradients[step]})
            rows.append(session.run(variable))
    return numbers(np.stack(rows))


def momentum(nesterov):
    config = {"name": "momentum", "momentum": 0.9, "nesterov": nesterov}
    expected = steps(lambda rate: v1.MomentumOptimizer(rate, 0.9, use_nesterov=nesterov))
    return {"config": config, "weights": expected}


def rms_prop(decay, share, epsilon):
    config = {"name": "rms_prop_tf", "decay": decay, "momentum": share, "epsilon": epsilon}
    expected = steps(lambda rate: v1.RMSPropOptimizer(rate, decay, share, epsilon))
    return {"config": config, "weights": expected}


def clipping(limit):
    (clipped,), norm = tf.clip_by_global_norm([gradients[0]], limit)
    return {
        "limit": limit,
        "norm": numbers(norm.numpy()),
        "clipped": numbers(clipped.numpy()),
    }


def moving_average(average_decay, ramp):
    """Shadow values; `num_updates` is the count of steps done."""
    rows = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        step = tf.compat.v1.placeholder(tf.float32, [])
        new = tf.compat.v1.placeholder(tf.float32, [VALUES])
        variable = tf.compat.v1.get_variable("w", initializer=weights, use_resource=True)
        average = v1.ExponentialMovingAverage(average_decay, step if ramp else None)
        apply = average.apply([variable])
        assign = variable.assign(new)
        session.run(tf.compat.v1.global_variables_initializer())
        for index in range(STEPS):
            session.run(assign, {new: gradients[index]})
            session.run(apply, {step: index + 1})
            rows.append(session.run(average.average(variable)))
    config = {"decay": average_decay, "ramp": ramp}
    return {"config": config, "average": numbers(np.stack(rows))}


def rates(decay_of):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        step = tf.compat.v1.placeholder(tf.int64, [])
        rate = decay_of(step)
        return [numbers(session.run(rate, {step: index})) for index in range(12)]


write(
    "optimizers_tensorflow.json",
    [np, tf],
    content(
        optimizers=[
            {"config": {"name": "sgd"}, "weights": steps(v1.GradientDescentOptimizer)},
            momentum(False),
            momentum(True),
            rms_prop(0.9, 0.9, 1.0),
            rms_prop(0.95, 0.0, 1e-3),
        ],
        clipping=[clipping(limit) for limit in [0.5, 1e3]],
        clip_by_value=numbers(tf.clip_by_value(gradients[0], -0.05, 0.05).numpy()),
        moving_averages=[moving_average(0.9, False), moving_average(0.9999, True)],
        schedules=[
            {
                "schedule": {"name": "exponential", "initial": 0.2, "factor": 0.94, "steps": 3},
                "rates": rates(lambda s: v1.exponential_decay(0.2, s, 3, 0.94, staircase=True)),
            },
            {
                "schedule": {
                    "name": "polynomial",
                    "initial": 0.2,
                    "end": 0.01,
                    "steps": 9,
                    "power": 2.0,
                },
                "rates": rates(lambda s: v1.polynomial_decay(0.2, s, 9, 0.01, power=2.0)),
            },
        ],
    ),
)
