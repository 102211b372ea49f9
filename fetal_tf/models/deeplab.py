"""DeepLabV3+: a dilated encoder, a pyramid of views over its features, and a short decoder.

Source: Chen, Zhu, Papandreou, Schroff, Adam 2018, "Encoder-Decoder with Atrous Separable
Convolution for Semantic Image Segmentation", arXiv 1802.02611, on ResNet-50 and, as there for
ResNets, with plain instead of separable convolutions.
"""

from typing import Annotated

import keras
from keras import KerasTensor, layers
from pydantic import Field

from fetal_tf.models.blocks import Head, conv_norm_relu6, imagenet_input, probabilities
from fetal_tf.models.pretrained import Weights, load_encoder
from fetal_tf.models.registry import MODELS
from fetal_tf.models.resnet import PUBLISHED_BASE, RESNET_50, check_base, encoder_layers, resnet

_RATES = (6, 12, 18)  # the paper's, for features at 1/16


@MODELS.register("deeplabv3plus_resnet50")
def deeplabv3plus_resnet50(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    base: Annotated[int, Field(ge=8)] = PUBLISHED_BASE,
    weights: Weights = None,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    head: Head = "sigmoid",
) -> keras.Model:
    """DeepLabV3+ on ResNet-50 with features at 1/16 and a decoder at 1/4 of the size.

    The ResNet in ReLU, as ImageNet weights know it; pyramid and decoder in ReLU6. Parameters at
    base 64, one gray channel and one class: 40,404,353, of which the encoder has 23,561,152.

    Args:
        input_shape: (height, width, channels), height and width multiples of 16, channels 1 or 3.
        classes: number of output channels.
        base: filters of the encoder's first stage, which the pyramid's and the decoder's follow; 64
            is the ResNet-50, 16 a sixteenth of it.
        weights: of the encoder: "imagenet" from Keras' cache, the path of a .h5 or .keras file of
            keras.applications' ResNet50, or null for random ones.
        dropout: rate behind the pyramid, the authors' 0.1.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no multiple of 16, softmax for one class, or weights that are
            those of something else, or of another base.
    """
    check_base(weights, base)
    pixels, x = imagenet_input(input_shape, multiple=16)
    _, fine, _, _, x = resnet(x, RESNET_50, bottleneck=True, base=base, output_stride=16)
    x = _pyramid(x, 4 * base)
    if dropout:
        x = layers.Dropout(dropout, name="pyramid_dropout")(x)
    x = layers.UpSampling2D(4, interpolation="bilinear", name="pyramid_resize")(x)
    fine = conv_norm_relu6(fine, 3 * base // 4, kernel=1, name="fine")
    x = layers.Concatenate(name="skip")([x, fine])
    for number in range(2):
        x = conv_norm_relu6(x, 4 * base, name=f"decoder_conv{number}")
    output = probabilities(x, classes, head, enlarge=4)
    model = keras.Model(pixels, output, name="deeplabv3plus_resnet50")
    load_encoder(encoder_layers(model), "resnet50", weights)
    return model


def _pyramid(x: KerasTensor, filters: int) -> KerasTensor:
    """Each pixel seen alone, in three widening rings, and with the mean of all: (N, h, w, filters).

    Atrous spatial pyramid pooling, with the image-level features of Chen et al. 2017, arXiv
    1706.05587.
    """
    views = [conv_norm_relu6(x, filters, kernel=1, name="pyramid_point")]
    for rate in _RATES:
        views.append(conv_norm_relu6(x, filters, dilation=rate, name=f"pyramid_rate{rate}"))
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="pyramid_mean")(x)
    mean = conv_norm_relu6(mean, filters, kernel=1, name="pyramid_image")
    # One value to all pixels: bilinear, because nearest becomes RESHAPE and TILE in TFLite.
    spread = layers.UpSampling2D(x.shape[1:3], interpolation="bilinear", name="pyramid_spread")
    views.append(spread(mean))
    x = layers.Concatenate(name="pyramid")(views)
    return conv_norm_relu6(x, filters, kernel=1, name="pyramid_joined")
