"""Linear layers in 8 or 4 bits, by the optional package bitsandbytes. For the language model's layers."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import torch
from torch import nn

from sparrow.errors import ModelError

Bits = Literal["8bit", "4bit"]
BYTES: dict[Bits, float] = {"8bit": 1.0, "4bit": 0.57}
"""Of memory a weight, scales included."""


def require(bits: Bits) -> Any:
    """Give the package.

    Raises:
        ModelError: it is not installed.
    """
    try:
        return import_module("bitsandbytes")
    except ImportError as error:
        raise ModelError(
            f"quantise={bits!r} needs the package bitsandbytes: `pip install bitsandbytes`, or leave "
            "quantise out"
        ) from error


def quantise_linears(module: nn.Module, bits: Bits, device: torch.device) -> None:
    """Replace all linear layers below a module by quantised ones on a device, one after the other.

    Biases are not quantised. What comes of it can answer, but neither be trained nor be saved.

    Args:
        module: changed in place; its linear layers may lie on another device.
        bits: "8bit" keeps columns with outliers in half precision; "4bit" is NF4.
        device: where the quantised layers go.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    package = require(bits)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, _quantised(child, bits, package).to(device))


def _quantised(linear: nn.Linear, bits: Bits, package: Any) -> nn.Module:
    weight, bias = linear.weight.detach(), linear.bias is not None
    layer: nn.Linear
    with torch.device("meta"):  # its weight is replaced at once
        if bits == "8bit":
            layer = package.nn.Linear8bitLt(
                linear.in_features, linear.out_features, bias=bias, has_fp16_weights=False
            )
        else:
            layer = package.nn.Linear4bit(
                linear.in_features,
                linear.out_features,
                bias=bias,
                compute_dtype=weight.dtype,
                quant_type="nf4",
            )
    if bits == "8bit":
        stored = package.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    else:
        stored = package.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
    layer.weight = stored
    layer.bias = linear.bias
    return layer
