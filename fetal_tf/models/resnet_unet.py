"""A U-Net whose left half is a ResNet-34: the usual way to start one from ImageNet.

Sources: Ronneberger et al. 2015, arXiv 1505.04597; He et al. 2015, arXiv 1512.03385. The joints
(five skips, decoder of 256, 128, 64, 32, 16 filters) are those of the segmentation_models library.
"""

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from fetal_tf.models.blocks import (
    Head,
    Upsampling,
    conv_block,
    double_size,
    imagenet_input,
    probabilities,
)
from fetal_tf.models.pretrained import Weights, load_encoder
from fetal_tf.models.registry import MODELS
from fetal_tf.models.resnet import PUBLISHED_BASE, RESNET_34, check_base, encoder_layers, resnet


@MODELS.register("resnet34_unet")
def resnet34_unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    base: Annotated[int, Field(ge=8)] = PUBLISHED_BASE,
    weights: Weights = None,
    upsampling: Upsampling = "bilinear",
    head: Head = "sigmoid",
) -> keras.Model:
    """A U-Net on ResNet-34, decoder in bias-free convolution, batch norm, ReLU6.

    Parameters at base 64, one gray channel and one class: 23,846,161, of which the encoder has
    21,301,696 (the paper's 21.8 M less the classifier).

    Args:
        input_shape: (height, width, channels), height and width multiples of 32, channels 1 or 3.
        classes: number of output channels.
        base: filters of the encoder's first stage; 64 is the ResNet-34, 16 a sixteenth of it.
        weights: of the encoder: "imagenet" from Keras' cache, the path of a .safetensors file of
            torchvision's or timm's resnet34, or null for random ones.
        upsampling: see `unet.unet`.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no multiple of 32, softmax for one class, or weights that are
            those of something else, or of another base.
    """
    check_base(weights, base)
    pixels, x = imagenet_input(input_shape, multiple=32)
    *skips, x = resnet(x, RESNET_34, bottleneck=False, base=base)
    for level in reversed(range(5)):
        filters = base * 2**level // 4
        x = double_size(x, filters, norm="batch", upsampling=upsampling, name=f"up_{level}")
        if level > 0:  # the encoder has nothing at full size
            x = layers.Concatenate(name=f"skip_{level}")([x, skips[level - 1]])
        x = conv_block(x, filters, convs=2, norm="batch", name=f"decoder_{level}")
    model = keras.Model(pixels, probabilities(x, classes, head), name="resnet34_unet")
    load_encoder(encoder_layers(model), "resnet34", weights)
    return model
