"""The optimiser of a recipe."""

from torch import nn, optim

from pipeline.params.model import TrainParams

SGD_MOMENTUM = 0.9


def make_optimizer(model: nn.Module, params: TrainParams) -> optim.Optimizer:
    """Return the optimiser over all parameters; its rate is set before every step by the schedule."""
    parameters, decay = model.parameters(), params.weight_decay
    match params.optimizer:
        case "adam":
            return optim.Adam(parameters, params.learning_rate, weight_decay=decay)
        case "adamw":
            return optim.AdamW(parameters, params.learning_rate, weight_decay=decay)
        case "sgd":
            return optim.SGD(parameters, params.learning_rate, momentum=SGD_MOMENTUM, weight_decay=decay)
